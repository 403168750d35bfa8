"""Has two default weights tags."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="two_defaults",
        target="two_defaults_build:build",
        provides=("features",),
        weights=(zoo.Weights(tag="a", default=True), zoo.Weights(tag="b", default=True)),
    )
