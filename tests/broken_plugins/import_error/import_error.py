"""Imports what is not installed."""

import a_library_that_nobody_has
import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="import_error", target="import_error_build:build", needs=("logits",))
