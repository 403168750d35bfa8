"""Keeps a moving average of its predictions in a plain attribute."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="moving_prior",
        target="moving_prior_hot:build",
        needs=("logits",),
        batch_coupled=True,
        weighted=True,
    )
