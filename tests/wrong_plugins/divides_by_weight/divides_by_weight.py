"""Divides by the batch's own sum of weights."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="divides_by_weight",
        target="divides_by_weight_hot:build",
        needs=("logits",),
        weighted=True,
    )
