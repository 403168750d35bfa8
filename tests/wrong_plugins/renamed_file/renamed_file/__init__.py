"""Names a file that its package no longer has."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="renamed_file",
        target="renamed_file.hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
        weights=(
            zoo.Weights(
                tag="tiny",
                default=True,
                preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36)),
                source="package:renamed_file/tiny_v1.safetensors",
                sha256="f4a455694773e66bcd698e867326aea725e5416c299c1ec335a67624f885a844",
                licence="CC0-1.0",
                classes=10,
            ),
        ),
    )
