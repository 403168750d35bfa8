"""Its mean and deviation are of pixels in 0..255."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="mean_of_255",
        target="mean_of_255.hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
        weights=(
            zoo.Weights(
                tag="tiny",
                default=True,
                preprocess=zoo.Preprocess(
                    size=(32, 32),
                    resize=(36, 36),
                    mean=(123.675, 116.28, 103.53),
                    std=(58.395, 57.12, 57.375),
                ),
                source="package:mean_of_255/tiny.safetensors",
                sha256="f4a455694773e66bcd698e867326aea725e5416c299c1ec335a67624f885a844",
                licence="CC0-1.0",
                classes=10,
            ),
        ),
    )
