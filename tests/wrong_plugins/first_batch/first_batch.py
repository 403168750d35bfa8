"""Centres by the first batch that it meets, and forgets it when it is saved."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="first_batch",
        target="first_batch_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
