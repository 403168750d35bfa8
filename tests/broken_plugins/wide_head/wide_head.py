"""Gives one class too many."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(name="wide_head", target="wide_head_hot:build", needs=("features",), provides=("logits",))
