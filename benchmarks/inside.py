"""A run taken over where its training would begin, for scripts that time the engine's own parts."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo import machine

machine.settle()  # before torch is loaded, as in a run

import zoo
from zoo.progress import Silent
from zoo.training import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo.training.session import Session

T = TypeVar("T")


class _MeasuredError(Exception):
    """The run need not go on."""


def measured(
    spec: str,
    measure: Callable[[Session], T],
    **settings: Any,  # noqa: ANN401 - of a run
) -> T:
    """What a measurement gives that is made of a run's session, in place of its training.

    Args:
        spec: backbone+head+loss.
        measure: takes the session as it would be trained.
        settings: of the run, as of `zoo.run`.
    """
    found: list[T] = []

    def measuring(session: Session, **_given: Any) -> None:  # noqa: ANN401 - not looked at
        found.append(measure(session))
        raise _MeasuredError

    begin, train.train = train.train, measuring  # type: ignore[bad-assignment]  # takes no more
    try:
        with tempfile.TemporaryDirectory() as folder:
            zoo.run(spec, out=Path(folder) / "run", listener=Silent(), **settings)
    except _MeasuredError:
        pass
    finally:
        train.train = begin
    return found[0]


def in_turns(
    count: int, one: Callable[[int], T], other: Callable[[int], T]
) -> Sequence[tuple[T, T]]:
    """`count` pairs of blocks, which goes first alternating, after one pair of warming up.

    Args:
        count: of pairs.
        one: a block of the one side; takes the pair's number.
        other: of the other.
    """
    found = []
    for pair in range(count + 1):
        if pair % 2:
            first = one(pair)
            found.append((first, other(pair)))
        else:
            second = other(pair)
            found.append((one(pair), second))
    return found[1:]
