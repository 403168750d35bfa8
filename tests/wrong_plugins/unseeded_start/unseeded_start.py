"""Draws its first weights from a generator that no seed reaches."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="unseeded_start",
        target="unseeded_start_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
