"""Its forward pass is decorated as for inference: it can never be fine-tuned."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="no_gradient",
        target="no_gradient_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
    )
