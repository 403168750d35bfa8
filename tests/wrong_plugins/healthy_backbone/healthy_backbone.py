"""A backbone as it should be: stochastic depth in training alone, normalised by running statistics."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="healthy_backbone",
        target="healthy_backbone_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=824, features=8, input_size=(32, 32), layout="conv"),
        options={
            "depth": zoo.Option(type="int", default=1, minimum=0, maximum=4, help="residual blocks"),
            "drop_path": zoo.Option(
                type="float", default=0.1, minimum=0.0, maximum=0.9, help="share of images that skip the last block"
            ),
        },
    )
