"""Gives view_logits [V, N, C]."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="views_first",
        target="views_first_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
