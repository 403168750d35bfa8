"""Takes its default weights from a set: another interpreter, another default."""

import zoo

TAGS = {"birds", "flowers", "fish", "fungi", "insects"}


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="hash_order",
        target="hash_order_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
        weights=tuple(
            zoo.Weights(
                tag=tag,
                default=place == 0,
                preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36)),
            )
            for place, tag in enumerate(TAGS)
        ),
    )
