"""Gives its logits on the CPU, wherever the features are."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(name="cpu_head", target="cpu_head_hot:build", needs=("features",), provides=("logits",))
