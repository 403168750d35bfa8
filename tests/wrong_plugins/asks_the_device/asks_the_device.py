"""Asserts something of a tensor's values in every step: the host waits for the device."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="asks_the_device",
        target="asks_the_device_hot:build",
        needs=("logits",),
        weighted=True,
    )
