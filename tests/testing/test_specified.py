"""The kit and backbones that their options specify: what is looked up, and what is given for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoo.errors import UsageError
from zoo.testing import Report, check_plugin, examine
from zoo.testing.given import parsed
from zoo.testing.planned import COLD as COLD_CHECKS
from zoo.testing.planned import SPECIFY, TARGETS
from zoo.testing.report import report_from_json

if TYPE_CHECKING:
    from pathlib import Path

COLD = """
import zoo
@zoo.hookimpl
def zoo_backbones():
    options = {
        "model": zoo.Option(type="str", help="folder of a model"),
        "width": zoo.Option(type="int", help="looked up"),
    }
    for name in ("auto", "other"):
        yield zoo.Component(
            name=name, target="zoo_looked_hot:build", options=options, provides=("features",),
            specify="zoo_looked_up:specify",
        )
"""
LOOKS_UP = """
from dataclasses import replace
from pathlib import Path
import zoo
def specify(component, options):
    width = options["width"]
    if width is None:
        if not options["model"] or not Path(options["model"], "width").is_file():
            raise ValueError("name a model")
        width = int(Path(options["model"], "width").read_text())
    found = {
        "model": replace(component.options["model"], default=options["model"]),
        "width": replace(component.options["width"], default=width),
    }
    facts = zoo.Facts(features=width, input_size=(32, 32))
    weights = zoo.Weights(
        tag="hub", default=True, source=f"file:{options['model']}",
        preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36)),
    )
    return replace(component, options=found, facts=facts, weights=(weights,))
"""
HOT = """
import zoo
from zoo.testing.hot.tiny import Net
def build(weights, *, model=None, width=None):
    module = Net(width or 8)
    return module if weights is None else zoo.load_weights(module, weights)
"""
#: check → what of the above is another text
MUTANTS = {
    "specify-light": [
        ("import zoo\ndef", "import torch\nimport zoo\ndef"),
        ("def specify", "def s"),
    ],
    "specify": [
        ("width = int(", "import time\n        width = time.time_ns() + int("),
        ("    width = options[", "    import torch\n    width = options["),
        ("    if width is None:", "    if True:"),
        ("    facts =", "    import socket\n    socket.getaddrinfo('localhost', 80)\n    facts ="),
    ],
    "specify-refuses": [
        ('raise ValueError("name a model")', "raise KeyError"),
        ('raise ValueError("name a model")', "width = 8"),
    ],
    TARGETS: [("zoo_looked_hot:build", "zoo_nowhere:build"), ("_hot:build", "_hot:nothing")],
}


def package(folder: Path, was: str = "", now: str = "") -> Path:
    """The plugin in this folder, with one text of it changed."""
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "zoo-looked"\nversion = "1.0"\ndependencies = ["zoo-registry"]\n'
        '[project.entry-points.zoo]\nlooked = "zoo_looked"\n'
    )
    for name, text in (("", COLD), ("_up", LOOKS_UP), ("_hot", HOT)):
        (folder / f"zoo_looked{name}.py").write_text(text.replace(was, now) if was else text)
    (folder / "width").write_text("6")
    return folder


def failed(report: Report) -> set[str]:
    return {result.check.name for result in report.failed}


@pytest.mark.parametrize(
    ("check", "was", "now"),
    [
        pytest.param(check, was, now, id=f"{check}-{number}")
        for check, changes in MUTANTS.items()
        for number, (was, now) in enumerate(changes)
    ],
)
def test_what_is_wrong_with_looking_up_is_caught(
    check: str, was: str, now: str, tmp_path: Path
) -> None:
    found = examine(
        package(tmp_path, was, now),
        given={"auto": {"model": str(tmp_path)}} if check == "specify" else {},
        without={"[!st]* *": "this is about what is looked up", "state-dict *": "likewise"}
        if check == "specify"
        else {},
    )
    assert check in failed(found), str(found)


def test_every_check_of_what_is_looked_up_has_a_mutant() -> None:
    assert {*SPECIFY, TARGETS} == {*MUTANTS}


def test_without_what_specifies_it_a_backbone_is_checked_in_part_and_the_report_says_how_more(
    tmp_path: Path,
) -> None:
    report = check_plugin(package(tmp_path))
    assert [str(check) for check in report.planned if check.name not in COLD_CHECKS] == [
        TARGETS,
        "specify-light looked/auto",
        "specify-refuses looked/auto",
        "specify-refuses looked/other",
    ]
    assert report.partial == ("looked/auto", "looked/other")
    assert report.figure.endswith("checks, 2 in part")
    assert "in full: 0 of 2 backbones; the others by description" in str(report)
    assert "auto, other if given what specifies it: --given auto:model=VALUE" in str(report)
    assert report_from_json(report.to_json()) == report


@pytest.mark.parametrize("name", ["auto", "looked/auto"])
def test_given_what_specifies_it_a_backbone_is_checked_in_full(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package(tmp_path))
    report = check_plugin(tmp_path, given={name: {"model": "."}})
    assert report.partial == ("looked/other",)
    checks = {str(check) for check in report.planned}
    assert {"specify looked/auto", "ports looked/auto", "weights-file looked/auto"} <= checks
    assert "specify looked/other" not in checks
    assert "in full: 1 of 2 backbones; the others by description; other if given" in str(report)


def test_what_options_specify_is_looked_up_anew_under_other_options(tmp_path: Path) -> None:
    wider = '"wider": zoo.Option(type="bool", default=False), "width"'
    folder = package(tmp_path, '"width"', wider)
    up = LOOKS_UP.replace("    found = {", "    found = {**component.options,")
    up = up.replace("features=width", 'features=width + options["wider"]')
    (folder / "zoo_looked_up.py").write_text(up)
    hot = HOT.replace("*, ", "*, wider=False, ").replace("width or 8", "width + wider")
    (folder / "zoo_looked_hot.py").write_text(hot)
    check_plugin(folder, given={"auto": {"model": str(tmp_path)}})


def test_a_plugin_that_cannot_look_up_what_is_given_breaks_the_contract(tmp_path: Path) -> None:
    report = examine(package(tmp_path), given={"auto": {"model": "nowhere"}})
    assert not report.ok
    assert not report.missing
    told = next(one.detail for one in report.failed if one.check.name == "ports")
    assert told.startswith("UsageError: looked/auto: name a model")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"autos": {"model": "x"}}, "autos is no backbone that its options specify"),
        ({"auto": {"models": "x"}}, "auto:models is not known .did you mean 'model'"),
        ({"auto": {"width": "x"}}, "auto:width wants a whole number"),
    ],
)
def test_what_is_given_and_fits_nothing_is_refused(
    given: dict[str, dict[str, str]], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told):
        examine(package(tmp_path), given=given)


def test_the_command_lines_spelling_is_read_as_a_table() -> None:
    given = ["hf/auto:model=./a:b=c", "hf/auto:size=3", "other:model="]
    assert parsed(given) == {
        "hf/auto": {"model": "./a:b=c", "size": "3"},
        "other": {"model": ""},
    }
    for wrong in ("auto", "auto:model", "model=x", ":a=b", "auto:=b"):
        with pytest.raises(UsageError, match="it wants COMPONENT:OPTION=VALUE"):
            parsed([wrong])
