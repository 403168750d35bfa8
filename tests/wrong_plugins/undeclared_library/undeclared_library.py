"""Its hot half imports scipy, which neither its package nor its requires names."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="undeclared_library",
        target="undeclared_library_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
