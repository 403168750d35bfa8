"""Raises when it is asked."""

import zoo


@zoo.hookimpl
def zoo_losses():
    raise RuntimeError("no losses today")
