"""Sharpens distributions by the mean of their batch, and does not say that it couples samples."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="couples_shares",
        target="couples_shares_hot:build",
        needs=("logits",),
    )
