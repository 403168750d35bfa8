"""Declares embeddings and gives None."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="promises_embeddings",
        target="promises_embeddings_hot:build",
        needs=("features",),
        provides=("logits", "view_logits", "embeddings"),
    )
