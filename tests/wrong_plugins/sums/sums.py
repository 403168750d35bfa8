"""Sums over the batch instead of taking the mean."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="sums",
        target="sums_hot:build",
        needs=("logits",),
        weighted=True,
    )
