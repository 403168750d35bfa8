"""Fails when it is built."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(name="build_raises", target="build_raises_hot:build", needs=("features",), provides=("logits",))
