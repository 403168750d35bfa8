"""Shares its namespace with twin."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="zoo_twin", target="zoo_twin_build:build", needs=("logits",))
