"""`zoo plugins` by itself: what is installed, what each brings, and what became of the others."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from zoo import installer, registry
from zoo.cli import console
from zoo.collisions import told
from zoo.index import assemble, refuse_quarantined
from zoo.names import preferences
from zoo.plugins.loader import Offer, forget_failures, offers
from zoo.testing import card

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_NO_ENTRIES = "entries that it ships are left out, all else of it is there:"
_PLURALS = {"backbone": "backbones", "head": "heads", "loss": "losses"}


def show(*, wants_json: bool, retry: bool) -> None:
    """Write the table, or the same as JSON.

    Args:
        wants_json: an array with a record for each plugin.
        retry: ask those again that are quarantined.
    """
    if retry:
        forget_failures()
    found = offers()
    left_out = _left_out(found)
    if wants_json:
        console.as_json(
            [
                _record(offer) | {"entries_left_out": left_out.get(offer.source.namespace)}
                for offer in found
            ]
        )
        refuse_quarantined(offer.problem for offer in found if offer.problem)
        return
    if not found:
        line = installer.to_install("zoo-registry[standard]")
        console.note(f"No plugin is installed. Try: {line}")
        return
    console.table(
        ["plugin", "version", "namespace", "brings", "import ms", "checked", "status"],
        [_row(offer) for offer in found],
        right="import ms",
    )
    for offer in found:
        for line in _details(offer):
            console.result(line)
        if reason := left_out.get(offer.source.namespace):
            console.result()
            console.result(f"{offer.source.distribution} {offer.source.version}: {_NO_ENTRIES}")
            for line in reason.splitlines():
                console.result(f"    {line}")
    _tell_collisions(found)
    refuse_quarantined(offer.problem for offer in found if offer.problem)


def _left_out(found: Sequence[Offer]) -> Mapping[str, str]:
    """Namespace → what is wrong with files or entries of the plugin's that are left out."""
    if not any(offer.entries for offer in found):
        return {}
    shipped = assemble(found).entries_resources
    reasons: dict[str, dict[str, None]] = defaultdict(dict)
    for name, reason in registry.load(shipped=shipped, own=False).left_out.items():
        reasons[name.partition("/")[0]][reason] = None
    return {namespace: "\n".join(told) for namespace, told in reasons.items()}


def _tell_collisions(found: Sequence[Offer]) -> None:
    """Names that are shared, and options that name no plugin."""
    catalog = assemble(found)
    lines = [*told(catalog, [one.source.distribution for one in found], preferences())]
    for line in (*[""][: len(lines)], *lines):
        console.result(line)
    for line in catalog.notes:
        console.note(line)


def _row(offer: Offer) -> list[str]:
    source = offer.source
    milliseconds = f"{offer.seconds * 1000:.0f}" if offer.seconds else ""
    return [
        source.distribution,
        source.version,
        source.namespace,
        _brings(offer),
        milliseconds,
        card.figure(source),
        _status(offer),
    ]


def _brings(offer: Offer) -> str:
    named = [
        f"{len(components)} {kind if len(components) == 1 else _PLURALS[kind]}"
        for kind, components in offer.components.items()
        if components
    ]
    if offer.entries:
        named.append(f"{len(offer.entries)} registry file{'s' if offer.entries[1:] else ''}")
    return ", ".join(named)


def _status(offer: Offer) -> str:
    if offer.source.off:
        return "disabled"
    if offer.problem is None:
        return "ok"
    if offer.problem.quarantined:
        return "quarantined"
    return "slow" if offer.heavy else "doubled"


def _details(offer: Offer) -> Iterable[str]:
    """The reason of a problem and what to type, and what the plugin itself printed or raised."""
    source, problem = offer.source, offer.problem
    owner = f"{source.distribution} {source.version} is {_status(offer)}"
    if source.off:
        yield ""
        yield f"{owner} by {source.off.by}. {source.off.undo}"
    if problem is None:
        return
    yield ""
    yield f"{owner}: {problem.reason}"
    yield from (f"    {line}" for line in problem.detail.splitlines())
    if problem.quarantined:
        yield f"  {problem.remedy}"
        if not problem.wants:
            yield f"  to upgrade it: {installer.to_upgrade(source.distribution)}"
        yield f"  to leave it out: zoo plugins disable {source.distribution}"


def _record(offer: Offer) -> dict[str, Any]:
    problem = offer.problem
    return {
        "distribution": offer.source.distribution,
        "version": offer.source.version,
        "namespace": offer.source.namespace,
        "module": offer.source.module,
        "status": _status(offer),
        "components": {kind: len(found) for kind, found in offer.components.items()},
        "entries": list(offer.entries),
        "import_seconds": offer.seconds,
        "heavy": list(offer.heavy),
        "checked": card.figure(offer.source),
        "problem": {"reason": problem.reason, "detail": problem.detail} if problem else None,
        "disabled": offer.source.off.by if offer.source.off else None,
    }
