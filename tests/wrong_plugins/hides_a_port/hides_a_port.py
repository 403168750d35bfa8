"""Gives view_logits and does not say so."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="hides_a_port",
        target="hides_a_port_hot:build",
        needs=("features",),
        provides=("logits",),
    )
