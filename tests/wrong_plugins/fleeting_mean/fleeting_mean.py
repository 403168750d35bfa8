"""Learns a running mean in a buffer that is not saved."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="fleeting_mean",
        target="fleeting_mean_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
