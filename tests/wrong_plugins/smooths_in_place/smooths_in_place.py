"""Smooths the target that it was given, in place, when it is a distribution."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="smooths_in_place",
        target="smooths_in_place_hot:build",
        needs=("logits",),
        weighted=True,
    )
