"""Turns off the fast path of attention for the whole process, for its own sake."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="slows_attention",
        target="slows_attention_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
