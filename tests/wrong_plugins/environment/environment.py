"""Offers its second head only where no variable hides the GPUs."""

import os

import zoo


@zoo.hookimpl
def zoo_heads():
    names = ["environment"]
    if os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        names.append("environment_large")
    for name in names:
        yield zoo.Component(
            name=name,
            target="environment_hot:build",
            needs=("features",),
            provides=("logits", "view_logits"),
        )
