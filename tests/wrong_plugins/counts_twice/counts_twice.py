"""Gives the total as a term beside its parts."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="counts_twice",
        target="counts_twice_hot:build",
        needs=("logits",),
        weighted=True,
    )
