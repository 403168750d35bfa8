"""Names a function that its module lacks."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="no_builder", target="no_builder_hot:build", needs=("logits",))
