"""Its dropout writes zeros into the features themselves."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="drops_in_place",
        target="drops_in_place_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
