"""Draws its noise from a generator of its own, whose state nobody saves."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="private_generator",
        target="private_generator_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
