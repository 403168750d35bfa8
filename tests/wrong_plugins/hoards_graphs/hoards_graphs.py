"""Keeps the totals of its last hundred steps for a figure, each with its graph."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="hoards_graphs",
        target="hoards_graphs_hot:build",
        needs=("logits",),
        weighted=True,
    )
