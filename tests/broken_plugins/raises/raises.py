"""Raises when it is asked."""

from typing import Never

import zoo


@zoo.hookimpl
def zoo_losses() -> Never:
    raise RuntimeError("no losses today")
