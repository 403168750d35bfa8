"""Counts the images that it has seen in a buffer, also while it is frozen."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="counts_in_eval",
        target="counts_in_eval_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
    )
