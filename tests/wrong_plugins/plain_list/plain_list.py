"""Keeps its hidden layers in a list, where torch does not see them."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="plain_list",
        target="plain_list_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
