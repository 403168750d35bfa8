"""Its learned temperature is a tensor with gradient and no parameter."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="loose_temperature",
        target="loose_temperature_hot:build",
        needs=("logits",),
        weighted=True,
    )
