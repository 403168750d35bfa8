"""A backbone that keeps its option drop_path and never looks at it."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="keeps_an_option",
        target="keeps_an_option_hot:build",
        provides=("features",),
        facts=zoo.Facts(features=8, input_size=(32, 32)),
        options={"drop_path": zoo.Option(type="float", default=0.0, minimum=0.0, maximum=0.9)},
    )
