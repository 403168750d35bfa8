"""Takes the mean over all views, and lets a gradient back to the first alone."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="first_view_alone",
        target="first_view_alone_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
