"""Declares logits and reads view_logits."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="reads_another_port",
        target="reads_another_port_hot:build",
        needs=("logits",),
        weighted=True,
    )
