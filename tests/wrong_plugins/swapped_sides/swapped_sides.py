"""States its input as (width, height); it is built for 48 rows of 32 pixels."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="swapped_sides",
        target="swapped_sides_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=1160, features=8, input_size=(32, 48)),
    )
