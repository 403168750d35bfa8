"""Misspells a hook."""

import zoo


@zoo.hookimpl
def zoo_backbone():
    return ()
