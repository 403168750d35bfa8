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


def in_turns(count: int, *sides: Callable[[int], T]) -> Sequence[tuple[T, ...]]:
    """`count` rounds of a block of each side, after one of warming up.

    Which side goes first moves on by one from round to round.

    Args:
        count: of rounds.
        sides: what is measured; each takes the round's number.
    """
    found = []
    for turn in range(count + 1):
        order = [(place + turn + 1) % len(sides) for place in range(len(sides))]
        blocks = {place: sides[place](turn) for place in order}
        found.append(tuple(blocks[place] for place in range(len(sides))))
    return found[1:]
