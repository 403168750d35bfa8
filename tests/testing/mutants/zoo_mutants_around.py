"""A first-party module, and what a mutant of it does before and after."""

from __future__ import annotations

import sys

from torch import nn


class Around(nn.Module):
    """A first-party module, and what is done to what goes into it and comes out of it."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *inputs):
        return self.after(self.inner(*self.before(*inputs)), *inputs)

    def before(self, *inputs):
        return inputs

    def after(self, output, *inputs):
        return output


def named(after):
    """A class in the module of a function over the module's output, where it can be unpickled."""
    home = sys.modules[after.__module__]
    name = f"Mutant{sum(one.startswith('Mutant') for one in vars(home))}"
    body = {"after": lambda self, *given: after(*given), "__module__": after.__module__}
    mutant = type(name, (Around,), body)
    setattr(home, name, mutant)
    return mutant
