"""`backbone+head+loss`, as text and as data.

::

    spec      := component "+" component "+" component
    component := [ns "/"] name ["." tag] [":" key "=" value ("," key "=" value)*]
    ns [a-z][a-z0-9-]*   name, key [a-z][a-z0-9_]*   tag [A-Za-z0-9_]+   value [A-Za-z0-9_.%-]+

The separators need no quoting in bash, zsh or fish. `parse` and `str` are inverse to each other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from zoo.components import KINDS
from zoo.encoding import line
from zoo.errors import SpecError

NAMESPACE = r"[a-z][a-z0-9-]*"
_PART = re.compile(
    rf"(?:(?P<namespace>{NAMESPACE})/)?(?P<name>[a-z][a-z0-9_]*)(?:\.(?P<tag>[A-Za-z0-9_]+))?"
    r"(?::(?P<options>.+))?"
)
_OPTION = re.compile(r"(?P<key>[a-z][a-z0-9_]*)=(?P<value>[A-Za-z0-9_.%-]+)")
MAX_LENGTH = 2000
EXAMPLE = "resnet18+linear+cekl"


@dataclass(frozen=True, slots=True)
class Part:
    """One component of a spec, as written.

    Args:
        name: bare name.
        namespace: empty when the spec leaves it to the resolution rule.
        tag: weights tag; empty for the component's default.
        options: (key, value) pairs in the written order, values still text.
    """

    name: str
    namespace: str = ""
    tag: str = ""
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The text that parses to this part."""
        namespace = f"{self.namespace}/" if self.namespace else ""
        tag = f".{self.tag}" if self.tag else ""
        options = ",".join(f"{key}={value}" for key, value in self.options)
        return f"{namespace}{self.name}{tag}{':' if options else ''}{options}"


@dataclass(frozen=True, slots=True)
class Spec:
    """A backbone, a head and a loss.

    Args:
        backbone: name, namespace, tag of the weights, options as written.
        head: likewise, without a tag.
        loss: likewise, without a tag.
    """

    backbone: Part
    head: Part
    loss: Part

    def __str__(self) -> str:
        """The text that parses to this spec."""
        return f"{self.backbone}+{self.head}+{self.loss}"

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        """In the order backbone, head, loss."""
        return self.backbone, self.head, self.loss


def parse(text: str) -> Spec:
    """The spec that `text` spells.

    Args:
        text: `backbone+head+loss`, at most some hundred characters.

    Returns:
        Its three parts.

    Raises:
        SpecError: it does not follow the grammar; the message points at the column.
    """
    _check_length(text)
    parts: list[Part] = []
    column = 1
    for piece in text.split("+"):
        parts.append(_parse_part(text, piece, column))
        column += len(piece) + 1
    if len(parts) < len(KINDS):
        complaint = f"this has {len(parts)} of the three parts backbone+head+loss"
        raise _located(text, len(text) + 1, complaint)
    if len(parts) > len(KINDS):
        complaint = f"this has {len(parts)} parts; more than one loss is not there yet"
        raise _located(text, len("+".join(text.split("+")[:3])) + 1, complaint)
    return Spec(*parts)


def parse_part(text: str) -> Part:
    """The single component that `text` spells, such as `timm/resnet18.a1_in1k`.

    Raises:
        SpecError: it does not follow the grammar.
    """
    _check_length(text)
    return _parse_part(text, text, 1)


def slug(text: str) -> str:
    """A spec or an entry's name as part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "run"


def _check_length(text: str) -> None:
    if len(text) > MAX_LENGTH:
        message = f"A spec of {len(text)} characters is too long (at most {MAX_LENGTH})."
        raise SpecError(message, hint="Give long values through --set key=value.")


def _parse_part(text: str, piece: str, column: int) -> Part:
    match = _PART.fullmatch(piece)
    if match is None:
        raise _located(text, column + _good_prefix(piece), _complaint(piece))
    options: list[tuple[str, str]] = []
    position = column + match.start("options") if match["options"] else column
    for item in match["options"].split(",") if match["options"] else ():
        option = _OPTION.fullmatch(item)
        if option is None:
            raise _located(text, position, f"{item!r} is not key=value")
        if option["key"] in dict(options):
            raise _located(text, position, f"the option {option['key']!r} stands twice")
        options.append((option["key"], option["value"]))
        position += len(item) + 1
    return Part(match["name"], match["namespace"] or "", match["tag"] or "", tuple(options))


def _good_prefix(piece: str) -> int:
    """How many characters of `piece` are right before it goes wrong."""
    ends = [end for end in range(len(piece) + 1) if _PART.fullmatch(piece[:end])]
    return ends[-1] if ends else 0


def _complaint(piece: str) -> str:
    if not piece:
        return "a component's name is missing here"
    if piece != piece.lower() and _PART.fullmatch(piece.lower()):
        return "names are lower case"
    if "-" in piece and _PART.fullmatch(piece.replace("-", "_")):
        return "names are written with _ instead of -"
    return "the spec cannot go on like this"


def _located(text: str, column: int, complaint: str) -> SpecError:
    shown, caret = line(text), " " * len(line(text[: column - 1]))
    return SpecError(
        # The text has a line of its own: whatever stands before the message would move the caret.
        f"The spec does not parse:\n{shown}\n{caret}^ column {column}: {complaint}.",
        hint="A component is [namespace/]name[.tag][:key=value,...], "
        f"and a spec is three of them: {EXAMPLE}.",
    )
