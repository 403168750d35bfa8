"""The option's default is 0.0, the target's is 0.5."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="other_default",
        target="other_default_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
        options={"dropout": zoo.Option(type="float", default=0.0, minimum=0.0, maximum=0.9)},
    )
