"""Compares the first view with the last, and does not ask for two."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="pairs_of_one",
        target="pairs_of_one_hot:build",
        needs=("logits", "view_logits"),
        weighted=True,
    )
