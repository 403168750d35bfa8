"""Copies bfloat16 into float32 where torch wants equal types: it fails under autocast."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="one_dtype_only",
        target="one_dtype_only_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
