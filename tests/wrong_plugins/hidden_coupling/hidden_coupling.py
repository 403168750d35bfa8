"""Compares the batch's mean prediction with a uniform one, and does not say that it couples."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="hidden_coupling",
        target="hidden_coupling_hot:build",
        needs=("logits",),
        weighted=True,
    )
