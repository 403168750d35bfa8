"""Whether a backbone, a head and a loss fit, and how many views they train on.

Ports are names: a backbone gives `features`, a head takes them and gives some of `logits`,
`view_logits`, `embeddings` and `similarities`, a loss takes some of those. An impossible trio is
refused here, before anything is built, with what would fit instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from zoo.components import EXTRA_PORTS, Component, Value, at
from zoo.errors import SpecError

Options = Mapping[str, Value | None]


def views(head: Component, loss: Component, head_options: Options, loss_options: Options) -> int:
    """V, how many views of an image a training step shows: the larger of the two wishes."""
    return max(at(head.views, head_options), at(loss.views, loss_options), 1)


def needs(component: Component, options: Options) -> tuple[str, ...]:
    """The ports that a head or a loss takes under these options."""
    return at(component.needs, options)


def convex(head: Component, loss: Component, head_options: Options, loss_options: Options) -> bool:
    """Whether a probe of one view has one optimum, which can be solved for."""
    both = at(head.convex, head_options) and at(loss.convex, loss_options)
    coupled = at(loss.batch_coupled, loss_options)
    return both and not coupled and views(head, loss, head_options, loss_options) == 1


def defaults(component: Component) -> dict[str, Value | None]:
    """A component's option values when nobody names any."""
    return {name: option.default for name, option in component.options.items()}


def extras(loss: Component, options: Options) -> tuple[str, ...]:
    """What the engine has to compute for a loss beside the head's output."""
    return tuple(port for port in needs(loss, options) if port in EXTRA_PORTS)


def check(
    trio: tuple[Component, Component, Component],
    options: tuple[Options, Options, Options],
    *,
    heads: Mapping[str, Component] | None = None,
    losses: Mapping[str, Component] | None = None,
) -> None:
    """Refuse a trio whose ports cannot fit, or whose prediction could never learn.

    Args:
        trio: backbone, head and loss.
        options: the values of their options, in the same order, defaults filled in.
        heads: name → head, from which alternatives are named.
        losses: name → loss, likewise.

    Raises:
        SpecError: naming what is missing and what would fit.
    """
    backbone, head, loss = trio
    complaint = _features(backbone, head, options[1]) or _outputs(head, loss, options[2])
    if not complaint:
        return
    kept = {
        "heads": [
            name
            for name, other in (heads or {}).items()
            if not _features(backbone, other, defaults(other))
            and not _outputs(other, loss, options[2])
        ],
        "losses": [
            name
            for name, other in (losses or {}).items()
            if not _features(backbone, head, options[1])
            and not _outputs(head, other, defaults(other))
        ],
    }
    raise SpecError(complaint, hint=_advice(kept, head, loss))


def _features(backbone: Component, head: Component, options: Options) -> str:
    """Why the head cannot sit on the backbone; nothing when it can."""
    missing = [port for port in needs(head, options) if port not in backbone.provides]
    if missing:
        return (
            f"The head {head.name} needs {_and(missing)}, and the backbone {backbone.name} "
            f"provides {_and(backbone.provides)}."
        )
    return ""


def _outputs(head: Component, loss: Component, options: Options) -> str:
    """Why the loss cannot train the head; nothing when it can.

    A loss that takes only `view_logits` or `similarities` may still reach the parameters behind
    `logits`, where a head shares them: that is proved when the parts are built. One that takes none
    of the three cannot.
    """
    wanted = needs(loss, options)
    missing = [port for port in wanted if port not in (*head.provides, *EXTRA_PORTS)]
    if missing:
        return (
            f"The loss {_with(loss, options)} needs {_and(missing)}, and the head {head.name} "
            f"provides {_and(head.provides)}."
        )
    if "logits" not in head.provides:
        return f"The head {head.name} provides no logits, so nothing could be predicted with it."
    if not {"logits", "view_logits", "similarities"} & set(wanted):
        return (
            f"The loss {_with(loss, options)} takes {_and(wanted)} only, so the classes that "
            f"the head {head.name} predicts would never be trained."
        )
    return ""


def _with(loss: Component, options: Options) -> str:
    """The loss's name, with the option that decides what it needs."""
    deciding = getattr(loss.needs, "option", "")
    return f"{loss.name}:{deciding}={options.get(deciding)}" if deciding else loss.name


def _and(ports: list[str] | tuple[str, ...]) -> str:
    return " and ".join(ports) or "nothing"


def _advice(fitting: Mapping[str, list[str]], head: Component, loss: Component) -> str:
    lines = []
    if fitting["heads"]:
        lines.append(f"Heads that fit {loss.name}: {', '.join(sorted(fitting['heads']))}.")
    if fitting["losses"]:
        lines.append(f"Losses that fit {head.name}: {', '.join(sorted(fitting['losses']))}.")
    return " ".join(lines) or "No installed head or loss would make it fit: zoo list --kind head"
