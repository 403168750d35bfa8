"""Gives a zoo.HeadOutput in training and a bare tensor in eval()."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="bare_in_eval",
        target="bare_in_eval_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
