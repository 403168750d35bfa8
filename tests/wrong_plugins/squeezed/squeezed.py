"""Squeezes away every axis of length one: for a single image that of the batch too."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="squeezed",
        target="squeezed_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
    )
