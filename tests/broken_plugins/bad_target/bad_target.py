"""Names a target without its module."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="bad_target", target="build", needs=("logits",))
