"""Writes its features into a buffer that the next batch writes into again."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="workspace",
        target="workspace_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
    )
