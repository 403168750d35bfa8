"""Its facts promise features of width 16; it gives 8."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="wrong_width",
        target="wrong_width_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=16, input_size=(32, 32), layout="conv"),
    )
