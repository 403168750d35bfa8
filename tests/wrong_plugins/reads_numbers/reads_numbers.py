"""Asks tensors for numbers while it is built, which the meta device cannot tell."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="reads_numbers",
        target="reads_numbers_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=1384, features=8, input_size=(32, 32), layout="conv"),
    )
