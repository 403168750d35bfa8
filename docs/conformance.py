# ruff: noqa: INP001 - a script, not a module of a package; lines of a page
"""Writes docs/conformance.md: which check of `zoo.testing` catches which fault.

`uv run python docs/conformance.py`: runs the kit over the museum of wrong plugins, and over the mutants
of first-party components.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.testing import check_plugin, examine
from zoo.testing.planned import COLD, HOT, OBSERVING, SPECIFY, TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.testing import Report

ROOT = Path(__file__).parents[1]
MUSEUM = ROOT / "tests" / "wrong_plugins"
MUTANTS = ROOT / "tests" / "testing" / "mutants"
LINE = re.compile(r"^\| `(\w+)` \| (.+) \| (.+) \|$", re.MULTILINE)
#: the check that is about the fault, where several find it and it is not the first of them
NAMED = {
    "bare_in_eval": "modes",
    "closes_over": "device",
    "cools_in_place": "in-place",
    "counts_steps": "state-dict",
    "deaf_option": "option-effect",
    "drops_in_place": "in-place",
    "hidden_coupling": "samples",
    "made_on_cpu": "device",
    "one_for_all": "fresh",
    "private_generator": "state-dict",
    "reads_another_port": "needs",
    "squeezed": "batch-of-one",
    "strict_false": "weights-errors",
    "sums": "samples",
    "swapped_sides": "ports",
    "workspace": "modes",
}
INTRODUCTION = """# What the conformance kit finds

`zoo.testing.check_plugin` and `zoo plugins check` hold a plugin to the contract of [plugins/README.md](../plugins/README.md), one
named check after the other. This page is written by `uv run python docs/conformance.py`; `tests/testing` holds it true.

"""
RATE = """
## Plugins that are subtly wrong

[tests/wrong_plugins](../tests/wrong_plugins/README.md) has {count} plugins with one fault each and {healthy} healthy ones. Found: {found} of
{count}; wrongly accused: {accused} of {healthy}. A fault that nobody thought of may still pass. Quoted is what each breaks: "guide" is
[plugins/README.md](../plugins/README.md), "promises" are the [README's](../README.md#promises), "contract" tells in other words what
follows from these.

| plugin | fault | caught by |
| --- | --- | --- |
"""
MUTANT = """
## Mutants

Components of zoo's own with one line of the contract changed. Found: {found} of {count}; of {controls} that nothing was changed of,
accused: {accused}.

| check | mutants |
| --- | --- |
"""


FIRST_PARTY = """
## The plugins of the first party

As `zoo plugins check` checks them; none breaks the contract. What is left out is left out with the reason that it is told.

| plugin | planned | passed | not applicable | left out | of its backbones |
| --- | ---: | ---: | ---: | ---: | --- |
"""
#: what is not asked of a plugin of ours, as in its own test
WITHOUT = {"zoo-metric-learning": {"no-wait *": "the library picks pairs by their indices"}}


def main() -> None:
    """Write the page."""
    page = [INTRODUCTION, "## The checks\n\n| check | holds | of |\n| --- | --- | --- |"]
    page += [f"| `{name}` | {words} | the plugin |" for name, words in COLD.items()]
    page.append(
        f"| `{TARGETS}` | what components name that are not checked in full is there | the plugin |"
    )
    page.append(f"| `{OBSERVING}` | a run can be told to it, and is left as it was | an observer |")
    page += [
        f"| `{name}` | {words} | a backbone that options specify |"
        for name, words in SPECIFY.items()
    ]
    page += [f"| `{name}` | {words} | {', '.join(kinds)} |" for name, (kinds, words) in HOT.items()]
    page += _museum()
    page += _mutants()
    page += _first_party()
    (ROOT / "docs" / "conformance.md").write_text("\n".join(page) + "\n", "utf-8")


def _museum() -> Iterator[str]:
    told: dict[str, str] = {}
    for name, breaks, _ in LINE.findall((MUSEUM / "README.md").read_text("utf-8")):
        before = next(reversed(told.values()), "")
        told[name] = before if breaks.startswith("likewise") else breaks
    faults = {
        folder.name: _failed(examine(folder))
        for folder in sorted(MUSEUM.iterdir())
        if (folder / "pyproject.toml").exists()
    }
    wrong = {name: found for name, found in faults.items() if not name.startswith("healthy")}
    healthy = {name: found for name, found in faults.items() if name.startswith("healthy")}
    yield RATE.format(
        count=len(wrong),
        healthy=len(healthy),
        found=sum(map(bool, wrong.values())),
        accused=sum(map(bool, healthy.values())),
    ).rstrip("\n")
    for name, found in wrong.items():
        check = NAMED.get(name, found[0] if found else "nothing")
        assert check in found or not found, (name, found)  # noqa: S101 - a script's own care
        yield f"| `{name}` | {told.get(name, '')} | `{check}` |"


def _mutants() -> Iterator[str]:
    report = examine(MUTANTS, sample=1000)
    found: dict[str, set[str]] = {}
    for check in report.planned:
        if check.component:
            found.setdefault(check.component.partition("/")[2], set())
    for result in report.failed:
        found[result.check.component.partition("/")[2]].add(result.check.name)
    controls = {name: checks for name, checks in found.items() if name.endswith("control")}
    mutants = {name: checks for name, checks in found.items() if name not in controls}
    caught = {
        name: name.partition("__")[0].replace("_", "-") in checks
        for name, checks in mutants.items()
    }
    yield MUTANT.format(
        count=len(caught),
        found=sum(caught.values()),
        controls=len(controls),
        accused=sum(map(bool, controls.values())),
    ).rstrip("\n")
    lines: dict[str, list[str]] = {}
    for name in mutants:
        check, _, what = name.partition("__")
        lines.setdefault(check.replace("_", "-"), []).append(what.replace("_", " "))
    yield from (f"| `{check}` | {', '.join(whats)} |" for check, whats in lines.items())


def _first_party() -> Iterator[str]:
    yield FIRST_PARTY.rstrip("\n")
    for folder in sorted((ROOT / "plugins").glob("zoo-*")):
        report = check_plugin(folder.name, without=WITHOUT.get(folder.name))
        planned, passed, idle, left = (
            report.counts.get(words, 0)
            for words in ("planned", "passed", "not applicable", "opted out")
        )
        yield (
            f"| `{folder.name}` | {planned} | {passed} | {idle} | {left} | {report.sample or 'all'} |"
        )


def _failed(report: Report) -> list[str]:
    return list(dict.fromkeys(result.check.name for result in report.failed))


if __name__ == "__main__":
    main()
