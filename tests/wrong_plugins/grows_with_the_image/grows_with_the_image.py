"""Flattens its map, so that a larger image gives wider features."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="grows_with_the_image",
        target="grows_with_the_image_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=32, input_size=(32, 32), layout="conv"),
    )
