"""Claims the namespace of zoo-timm by being called timm."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="impostor", target="impostor_build:build", needs=("logits",))
