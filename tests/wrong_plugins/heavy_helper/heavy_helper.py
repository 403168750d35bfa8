"""Imports torch by way of a helper, to list torch's activations as choices."""

import heavy_helper_choices

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="heavy_helper",
        target="heavy_helper_hot:build",
        needs=("features",),
        provides=("logits",),
        options={
            "activation": zoo.Option(
                type="str", default="ReLU", choices=heavy_helper_choices.ACTIVATIONS
            ),
        },
    )
