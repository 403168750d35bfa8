"""Gives probabilities where logits are asked for."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="probabilities",
        target="probabilities_hot:build",
        needs=("features",),
        provides=("logits",),
    )
