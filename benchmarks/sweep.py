"""Compares the time of a sweep over 32 settings with that of training one of them.

::

    python benchmarks/sweep.py --data FOLDER [--spec SPEC] [--rounds 3]
        [--sweep lr:1e-4..1e-1x8,weight_decay:1..100x4] [--set key=value ...]

All begin at features that are there, and end with a trained head: a probe with its default setting;
the same after a head with that setting was trained and judged on each of the folds that judge a
sweep; and a sweep, which trains and judges heads with all of the settings on these folds, and then
trains the best on the whole part. What is compared is seconds of the processor, user and system, by
turns; imports and features are no part of it. Printed are all three for each round, and the ratios
of the medians, to one setting over the same folds and to the bare probe. The second is held to 4
where one fold judges, as by default, and else the first.
"""

from __future__ import annotations

import argparse
import copy
import resource
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from tune_probe import open_session  # type: ignore[missing-import]  # the script beside it

from zoo import grid
from zoo.settings import assignments
from zoo.training import fit, solve, sweep, threads
from zoo.training.train import prepare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.training.session import Session

SWEEP = "lr:1e-4..1e-1x8,weight_decay:1..100x4"
#: what a sweep of 32 settings may cost, in trainings of one
ACCEPTED = 4.0


def seconds() -> float:
    """Of the processor, spent by this process so far."""
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime


def trained(session: Session, text: str, *, judged: bool = False) -> float:
    """Seconds of the processor for a probe whose setting comes from this sweep ("": its own).

    Args:
        session: with its features.
        text: of the sweep.
        judged: whether its own setting is judged on the folds first.
    """
    start = copy.deepcopy(session.model.head.state_dict())
    began = seconds()
    plan = replace(session.plan, settings={**session.plan.settings, "probe.sweep": text})
    session = replace(session, plan=plan, sweep={})
    phase = sweep.chosen(session, plan.phases[0], prepare)
    if judged:
        own = {"lr": phase.lr, "weight_decay": phase.weight_decay}
        sweep.compared(session, phase, [own], prepare)
    task = prepare(session, phase)
    known: dict[str, Any] = {
        "after_step": lambda: None,
        "progress": lambda _count, _loss: None,
        "name_samples": lambda samples: [str(sample) for sample in samples],
    }
    with threads.suited(session.model.head):
        for _ in (solve if phase.optimizer == "lbfgs" else fit).run(task, **known):
            pass
    spent = seconds() - began
    session.model.head.load_state_dict(start)
    return spent


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare by turns; the exit code is 1 where the ratio is above 4."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of labelled images")
    parser.add_argument("--spec", default="efficientnet-lite/lite0+linear+cekl")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sweep", default=SWEEP)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args(arguments)
    settings = len(grid.parse(asked.sweep))
    given = {"probe.solver": "epochs", **assignments(asked.set)}
    session = open_session(asked.spec, asked.data, given)
    trained(session, "")  # what the first call of a function costs is no part of it
    rounds = []
    print(f"{asked.spec} on {asked.data.name}, seconds of the processor\n")
    print(f"| round | one setting | over the folds | {settings} settings | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for number in range(1, asked.rounds + 1):
        bare, one = trained(session, ""), trained(session, "", judged=True)
        many = trained(session, asked.sweep)
        rounds.append((bare, one, many))
        print(f"| {number} | {bare:.2f} | {one:.2f} | {many:.2f} | {many / one:.2f} |", flush=True)
    bare, one, many = (median(column) for column in zip(*rounds, strict=True))
    print(f"\nratio of the medians: {many / one:.2f}; to the bare probe {many / bare:.2f}")
    single = session.plan["probe.folds"] == 1
    return int(many / (bare if single else one) > ACCEPTED)


if __name__ == "__main__":
    raise SystemExit(main())
