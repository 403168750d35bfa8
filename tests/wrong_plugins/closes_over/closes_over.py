"""Its forward pass closes over a tensor of the module's, which no .to() moves."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="closes_over",
        target="closes_over_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
    )
