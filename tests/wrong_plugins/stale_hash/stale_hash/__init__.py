"""The file was published anew; its hash is still that of the first one."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="stale_hash",
        target="stale_hash.hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
        weights=(
            zoo.Weights(
                tag="tiny",
                default=True,
                preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36)),
                source="package:stale_hash/tiny.safetensors",
                sha256="4df652a21271503eb53eab9b7c1fe8d14f48b689ba67ad90680fdb1eda0a5be6",
                licence="CC0-1.0",
                classes=10,
            ),
        ),
    )
