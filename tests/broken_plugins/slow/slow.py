"""Imports a heavy library to be listed."""

import tensorflow
import zoo

assert tensorflow


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="slow", target="slow_build:build", needs=("logits",))
