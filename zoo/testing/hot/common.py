"""The checks of backbones, heads and losses alike, by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.testing.hot import batching, calling, choices, keeping, learning, manners, placing

if TYPE_CHECKING:
    from collections.abc import Callable

#: checks that are called with the case as well
OF_A_CASE = frozenset({"builds", "option-effect"})
CHECKS: dict[str, Callable[..., None]] = {
    **manners.CHECKS,
    **calling.CHECKS,
    **choices.CHECKS,
    **keeping.CHECKS,
    **learning.CHECKS,
    **batching.CHECKS,
    **placing.CHECKS,
}
