"""Says that it profits from channels-last memory, and views its maps as if they were not."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="rows_in_order",
        target="rows_in_order_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=32, input_size=(32, 32), layout="conv"),
    )
