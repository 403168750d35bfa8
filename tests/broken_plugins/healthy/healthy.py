"""A loss, as it should be."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="healthy", target="healthy_build:build", needs=("logits",))
