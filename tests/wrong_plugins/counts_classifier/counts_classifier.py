"""Its facts count the parameters of the published classifier too."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="counts_classifier",
        target="counts_classifier_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=322, features=8, input_size=(32, 32), layout="conv"),
    )
