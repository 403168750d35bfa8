"""Says that it honours batch.weight and does not look at it."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="deaf_to_weight",
        target="deaf_to_weight_hot:build",
        needs=("logits",),
        weighted=True,
    )
