"""Honours batch.weight where targets are classes, and not where they are distributions."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="deaf_to_weighted_shares",
        target="deaf_to_weighted_shares_hot:build",
        needs=("logits",),
        weighted=True,
    )
