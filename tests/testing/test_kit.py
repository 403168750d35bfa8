"""What the kit does when a plugin ends, hangs or evades it, and how its plans and reports count."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import zoo
from zoo.errors import InputMissing, Unavailable, UsageError
from zoo.plugins.distributions import sources
from zoo.testing import Check, ContractBroken, Report, Result, check_plugin, examine
from zoo.testing.hot.work import CHECKS
from zoo.testing.planned import (
    COLD,
    HOT,
    OBSERVING,
    SPECIFY,
    TARGETS,
    Listing,
    plan,
    sample,
    values,
)
from zoo.testing.report import report_from_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

card, children = (import_module(f"zoo.testing.{room}") for room in ("card", "children"))
COLD_HALF = """
import zoo
@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="one", target="zoo_evil_hot:build", needs=("logits",))
"""
HOT_HALF = """
import os, time
import torch
from torch import nn
class Loss(nn.Module):
    def forward(self, output, batch):
        {body}
        return {{"ce": nn.functional.cross_entropy(output.logits, batch.target)}}
def build(context):
    return Loss()
"""


@pytest.fixture
def evil(tmp_path: Path) -> Callable[..., Path]:
    """A package with one loss that does this in its forward pass."""

    def make(body: str = "pass", cold: str = COLD_HALF) -> Path:
        (tmp_path / "pyproject.toml").write_text(
            '[project]\nname = "zoo-evil"\nversion = "1.0"\ndependencies = ["zoo-registry"]\n'
            '[project.entry-points.zoo]\nevil = "zoo_evil"\n'
        )
        (tmp_path / "zoo_evil.py").write_text(cold)
        (tmp_path / "zoo_evil_hot.py").write_text(HOT_HALF.format(body=body))
        return tmp_path

    return make


def by_name(report: Report) -> dict[str, Result]:
    return {result.check.name: result for result in report.results}


def test_a_plugin_that_ends_the_process_fails_that_check_and_the_others_go_on(
    evil: Callable[..., Path],
) -> None:
    report = examine(evil("if output.logits.dtype == torch.bfloat16: os._exit(3)"))
    found = by_name(report)
    assert found["autocast"].status == "failed"
    assert "exit code 3" in found["autocast"].detail
    assert [result.check.name for result in report.failed] == ["autocast"]
    assert not report.missing


def test_a_plugin_that_crashes_is_told_by_the_signal(evil: Callable[..., Path]) -> None:
    report = examine(evil("if len(batch.target) == 1: os.kill(os.getpid(), 11)"))
    assert "SIGSEGV" in by_name(report)["batch-of-one"].detail


def test_a_check_that_hangs_fails_when_its_time_is_over(evil: Callable[..., Path]) -> None:
    report = examine(evil("if output.logits.dtype == torch.bfloat16: time.sleep(600)"), limit=2)
    assert by_name(report)["autocast"].status == "failed"
    assert "more than 2 s" in by_name(report)["autocast"].detail
    assert not report.missing


def test_what_is_planned_and_not_carried_out_fails(evil: Callable[..., Path]) -> None:
    package = evil("os._exit(0)")
    report = examine(package)
    assert report.missing
    assert not report.ok
    assert f"  {report.missing[-1]}: planned, and not carried out" in str(report)
    with pytest.raises(ContractBroken, match="planned, and not carried out"):
        check_plugin(package)


def test_a_plugin_whose_listing_ends_the_process_fails_with_its_words(
    evil: Callable[..., Path],
) -> None:
    report = examine(evil(cold="import os\nprint('good bye', flush=True)\nos._exit(4)"))
    assert [result.detail for result in report.failed] == [
        "it ended the process (exit code 4): good bye"
    ]


def test_opting_out_is_counted_and_wants_a_reason_and_something_to_leave_out(
    evil: Callable[..., Path],
) -> None:
    package = evil("if output.logits.dtype == torch.bfloat16: raise ValueError")
    assert not examine(package).ok
    report = check_plugin(package, without={"autocast *": "it has no use for it"})
    assert by_name(report)["autocast"].detail == "it has no use for it"
    assert report.counts["opted out"] == 1
    assert report.figure == f"{report.counts['passed']} checks"
    with pytest.raises(UsageError, match="wants a reason"):
        examine(package, without={"autocast *": " "})
    with pytest.raises(UsageError, match="no check is called so"):
        examine(package, without={"autocasts": "misspelt"})


def test_a_fault_is_told_with_the_line_of_the_plugins_code(evil: Callable[..., Path]) -> None:
    report = examine(evil("if len(batch.target) == 1: raise RuntimeError('no')"))
    assert by_name(report)["batch-of-one"].detail == "RuntimeError: no (zoo_evil_hot.py:7)"


def test_nothing_of_the_plugin_is_imported_here(evil: Callable[..., Path]) -> None:
    import sys

    before = [*sys.path]
    assert examine(evil()).ok
    assert sys.path == before
    assert not {"zoo_evil", "zoo_evil_hot"} & {*sys.modules}


@pytest.mark.parametrize("name", ["zoo-heads", "heads", "ZOO_Heads"])
def test_a_plugin_is_found_by_distribution_or_namespace(name: str) -> None:
    assert check_plugin(name).distribution == "zoo-heads"


def test_what_is_no_plugin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no installed plugin 'zoo-heeds'") as told:
        examine("zoo-heeds")
    assert "zoo-heads" in told.value.hint
    with pytest.raises(InputMissing, match=r"has no pyproject\.toml"):
        examine(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    with pytest.raises(UsageError, match="declares no plugin"):
        examine(tmp_path)


# --- plans ---


def test_every_hot_check_has_its_code_for_every_kind_that_is_due_to_it() -> None:
    for name, (kinds, _) in HOT.items():
        for kind in kinds:
            assert name in CHECKS[kind], (name, kind)
    assert {name for found in CHECKS.values() for name in found} <= {*HOT}


def test_no_two_checks_share_a_name() -> None:
    names = [*COLD, *HOT, *SPECIFY, OBSERVING, TARGETS]
    assert len(set(names)) == len(names)


def test_the_plan_follows_from_what_is_declared() -> None:
    options = {
        "a": zoo.Option(type="bool", default=True),
        "b": zoo.Option(type="int", default=2, minimum=1, maximum=9),
    }
    head = zoo.Component(name="x", target="m:f", needs=("features",), provides=("logits",))
    with_options = replace(head, name="y", options=options, convex=True)
    components: Any = {"head": (head, with_options)}
    planned = plan(Listing("acme", components, observers=("", "board")), components)
    assert [check.name for check in planned if not check.component] == [
        *(name for name in COLD if name != "entries"),
        *(OBSERVING, OBSERVING),
    ]
    of_y = [str(check) for check in planned if check.component == "acme/y"]
    assert [text for text in of_y if text.startswith("builds")] == [
        *("builds acme/y", "builds acme/y a=false", "builds acme/y b=1", "builds acme/y b=9")
    ]
    assert "option-effect acme/y a" in of_y
    assert "convex acme/y" in of_y
    assert "convex acme/x" not in {str(check) for check in planned}
    assert len(set(planned)) == len(planned)


@pytest.mark.parametrize(
    ("option", "found"),
    [
        (zoo.Option(type="bool"), [False, True]),
        (zoo.Option(type="str", default="a", choices=("a", "b", "c")), ["b", "c"]),
        (zoo.Option(type="float", default=0.5, minimum=0, maximum=1), [0.0, 1.0]),
        (zoo.Option(type="int", default=1, minimum=1), []),
        (zoo.Option(type="str"), []),
    ],
)
def test_edges_are_choices_ends_and_both_truths(option: zoo.Option, found: list[object]) -> None:
    assert values(option) == found


def test_a_sample_takes_from_every_layout_and_says_what_it_left() -> None:
    nets = tuple(
        zoo.Component(
            name=f"net{number}",
            target="m:f",
            provides=("features",),
            facts=facts,
        )
        for number, facts in enumerate(
            [
                *[zoo.Facts(params=10, layout="conv")] * 3,
                zoo.Facts(params=10, layout="token"),
                zoo.Facts(params=10**9, layout="token"),
            ]
        )
    )
    chosen, told = sample({"backbone": nets}, 2, 1000, {})
    assert {one.facts.layout for one in chosen["backbone"]} == {"conv", "token"}
    assert "net4" not in {one.name for one in chosen["backbone"]}
    assert told.startswith("in full: 2 of 5 backbones, of at most 1,000 parameters")
    assert sample({"backbone": nets[:2]}, 2, 1000, {}) == ({"backbone": [*nets[:2]]}, "")


# --- reports and cards ---


def report_of(*statuses: str) -> Report:
    checks = tuple(Check(f"check-{number}") for number in range(len(statuses)))
    results = tuple(
        Result(check, status)  # type: ignore[bad-argument-type]  # a Status
        for check, status in zip(checks, statuses, strict=True)
        if status != "lost"
    )
    return Report("zoo-acme", "1.0", "print", checks, results)


@pytest.mark.parametrize(
    ("statuses", "ok", "figure"),
    [
        (("passed", "passed"), True, "2 checks"),
        (("passed", "not applicable", "opted out"), True, "1 checks"),
        (("passed", "failed"), False, "1 of 2"),
        (("passed", "lost"), False, "1 of 2"),
        (("passed", "not run"), False, "1 of 2"),
        ((), False, "0 of 0"),
    ],
)
def test_a_report_counts_what_was_planned(
    statuses: tuple[str, ...],
    ok: bool,  # noqa: FBT001 - a case
    figure: str,
) -> None:
    report = report_of(*statuses)
    assert (report.ok, report.figure) == (ok, figure)


def test_a_report_survives_json() -> None:
    report = replace(report_of("passed", "failed", "lost"), versions={"torch": "2"}, date="now")
    assert report_from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_card_is_kept_and_is_stale_for_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    source = next(one for one in sources() if one.distribution == "zoo-heads")
    assert card.figure(source) == card.NONE
    report = replace(
        report_of("passed", "passed"),
        distribution=source.distribution,
        version=source.version,
        fingerprint=source.fingerprint,
    )
    file = card.write(report)
    assert card.figure(source) == "2 checks"
    assert card.figure(replace(source, fingerprint="other")) == card.STALE
    assert card.figure(replace(source, version="2.0")) == card.STALE
    file.write_text("{}")
    assert card.figure(source) == card.NONE


def test_the_process_that_imports_torch_is_used_again() -> None:
    check_plugin("zoo-heads", without={"* heads/*": "once is enough"})
    before = children.HOT._process  # noqa: SLF001 - whether it is the same
    examine("zoo-losses", without={"* losses/cekl*": "one is enough"})
    examine("zoo-losses", without={"* losses/cekl*": "one is enough"})
    after = children.HOT._process  # noqa: SLF001 - likewise
    assert after is not None
    assert before in (None, after)
