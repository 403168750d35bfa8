"""How the property tests of this plugin are run."""

from __future__ import annotations

from hypothesis import settings

# The first call of a torch operation takes far longer than the rest: no deadline can tell.
settings.register_profile("zoo-losses", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("zoo-losses")
