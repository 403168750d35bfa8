"""Its layer is as wide as the views of training together: one view does not fit."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="flattens_views",
        target="flattens_views_hot:build",
        needs=("features",),
        provides=("logits",),
        views=2,
    )
