"""Raises after its first component."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="first", target="raises_midway_build:build", needs=("logits",))
    raise RuntimeError("only one today")
