"""A factor that comes from numpy makes its logits float64."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="double_scale",
        target="double_scale_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
