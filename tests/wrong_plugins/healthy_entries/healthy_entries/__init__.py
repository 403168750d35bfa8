"""Entries as they should be: every part is in a package that this one depends on."""

import zoo


@zoo.hookimpl
def zoo_entries():
    yield "healthy_entries:recipes.toml"
