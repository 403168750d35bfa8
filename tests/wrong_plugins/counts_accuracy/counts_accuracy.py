"""Puts its accuracy among the terms, to see it in the log: it is added to the loss."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="counts_accuracy",
        target="counts_accuracy_hot:build",
        needs=("logits",),
        weighted=True,
    )
