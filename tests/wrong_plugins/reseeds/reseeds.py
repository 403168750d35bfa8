"""Seeds torch in every forward pass, to draw the same random projection again."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="reseeds",
        target="reseeds_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
