"""Offers a choice by a name that its target does not know."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="unknown_choice",
        target="unknown_choice_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
        options={
            "activation": zoo.Option(type="str", default="relu", choices=("relu", "gelu", "swish")),
        },
    )
