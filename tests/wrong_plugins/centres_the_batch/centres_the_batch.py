"""Subtracts the mean of the batch: an image's logits depend on its neighbours."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="centres_the_batch",
        target="centres_the_batch_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
