"""Shares its namespace with zoo-twin."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="twin", target="twin_build:build", needs=("logits",))
