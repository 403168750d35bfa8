"""Takes its embedding's .data: projection and backbone learn nothing."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="cuts_gradient",
        target="cuts_gradient_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
