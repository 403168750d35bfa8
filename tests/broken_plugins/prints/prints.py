"""Prints whatever it likes, and is fine otherwise."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="prints", target="prints_build:build", needs=("logits",))
