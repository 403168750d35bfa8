"""For two classes it gives one logit."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="one_logit",
        target="one_logit_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
