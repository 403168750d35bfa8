"""Imports nothing heavy itself."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="heavy_parent",
        target="heavy_parent.head:Head",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
