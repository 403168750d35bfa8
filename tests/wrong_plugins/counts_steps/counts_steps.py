"""Warms a term up by a count of steps that no checkpoint holds."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="counts_steps",
        target="counts_steps_hot:build",
        needs=("logits",),
        weighted=True,
    )
