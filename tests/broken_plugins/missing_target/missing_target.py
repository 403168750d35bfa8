"""Names a module that it does not bring."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="missing_target", target="missing_target_hot:build", needs=("logits",))
