"""Divides the head's logits by its temperature, in place."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="cools_in_place",
        target="cools_in_place_hot:build",
        needs=("logits",),
        weighted=True,
        options={"temperature": zoo.Option(type="float", default=0.1, minimum=0.01, maximum=100.0)},
    )
