"""Builds a function where a module is due."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="not_a_module", target="not_a_module_hot:build", needs=("logits",))
