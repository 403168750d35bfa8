"""Seeds torch for everybody, so that its own weights always start the same."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="seeds_globally",
        target="seeds_globally_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
    )
