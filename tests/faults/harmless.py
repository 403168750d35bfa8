"""What a terminal may be given."""

from __future__ import annotations

import unicodedata


def harmless(text: str, *, but: str = "\n") -> None:
    """Nothing in `text` commands a terminal, and all of it can be written as UTF-8."""
    assert not {
        character
        for character in text
        if character not in but
        and unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    }
