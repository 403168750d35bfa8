"""Which names a misspelt one may have meant.

Plain difflib fails on how people shorten model names (`vit_b16` finds `shvit_s1`), so names are
first compared token by token: every token that was typed must begin a token of the name, in order.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN = re.compile(r"[a-z]+|[0-9]+")


def squeezed(text: str) -> str:
    """`text` without case and separators: `ResNet-50` and `resnet_50` are both `resnet50`."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def near(text: str, names: Iterable[str], *, count: int = 3) -> tuple[str, ...]:
    """At most `count` of `names` that `text` may have meant, best first.

    First come names equal but for case and separators, then those whose tokens `text` abbreviates
    (fewest other tokens first), then what difflib finds alike.
    """
    wanted = squeezed(text)
    pool = sorted(set(names)) if wanted else []
    same = [name for name in pool if squeezed(name) == wanted]
    tokens = _TOKEN.findall(text.lower())
    scored = [(left_out, name) for name in pool if (left_out := _left_out(tokens, name))]
    prefixed = [name for _, name in sorted(scored)]
    found = list(dict.fromkeys(same + prefixed))[:count]
    if len(found) < count:
        found += get_close_matches(text.lower().replace("-", "_"), pool, n=count)
    return tuple(dict.fromkeys(found))[:count]


def _left_out(tokens: list[str], name: str) -> tuple[int, ...] | None:
    """What `name` has that the tokens leave out; None if they do not abbreviate it.

    Returns:
        (whether its first token, how many tokens, how many characters), to be sorted by.
    """
    parts = _TOKEN.findall(name.lower())
    matched: list[int] = []
    for token in tokens:
        start = matched[-1] + 1 if matched else 0
        rest = range(start, len(parts))
        place = next((at for at in rest if _begins(token, parts[at])), None)
        if place is None:
            return None
        matched.append(place)
    characters = sum(map(len, parts)) - sum(map(len, tokens))
    return int(matched[:1] != [0]), len(parts) - len(matched), characters


def _begins(token: str, whole: str) -> bool:
    """A token of letters may be the beginning of one in the name; a number must be all of it."""
    return whole == token if token.isdigit() else whole.startswith(token)
