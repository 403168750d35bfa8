"""The options that specify a backbone, as they are given to the kit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import UsageError
from zoo.options import problems, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zoo.components import Component, Kind, Value


def parsed(texts: Iterable[str]) -> dict[str, dict[str, str]]:
    """`hf/auto:model=./folder`, one option each, as a table: component → option → text.

    Raises:
        UsageError: one is of another form.
    """
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        component, colon, option = key.partition(":")
        if not (component and colon and option and sign):
            raise UsageError(f"--given {text}: it wants COMPONENT:OPTION=VALUE.")
        found.setdefault(component, {})[option] = value
    return found


def typed(
    given: Mapping[str, Mapping[str, Value]],
    components: Mapping[Kind, Sequence[Component]],
    namespace: str,
) -> dict[str, dict[str, Value]]:
    """What is given, by bare names, each value of its option's type.

    Args:
        given: component, with its namespace or without → option → value or text.
        components: what the plugin offers, by kind.
        namespace: the plugin's.

    Raises:
        UsageError: options specify no such backbone, or it has no such option or value.
    """
    specified = {one.name: one for one in components.get("backbone", ()) if one.specify}
    wrong: list[str] = []
    found: dict[str, dict[str, Value]] = {}
    for title, options in given.items():
        name = title.removeprefix(f"{namespace}/")
        if name not in specified:
            known = ", ".join(f"{namespace}/{one}" for one in specified) or "none"
            wrong.append(f"{title} is no backbone that its options specify; there is: {known}")
            continue
        schema = specified[name].options
        complaints = problems(schema, options, where=f"{title}:")
        wrong += complaints
        if not complaints:
            found[name] = {key: read(schema[key], value) for key, value in options.items()}
    if wrong:
        raise UsageError(f"What is given does not fit: {'; '.join(wrong)}.")
    return found
