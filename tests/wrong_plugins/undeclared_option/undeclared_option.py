"""The target takes a width that no option declares."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="undeclared_option",
        target="undeclared_option_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
        options={"dropout": zoo.Option(type="float", default=0.0, minimum=0.0, maximum=0.9)},
    )
