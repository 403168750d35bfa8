"""Makes the weights of the views on the CPU, wherever the features are."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="made_on_cpu",
        target="made_on_cpu_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
