from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo import corridor
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from tests.cli.conftest import Zoo

ARGUMENTS = ("tiny/net+linear+cekl", "--data", "images", "--weights", "none", "--device", "cpu")
PROBE = ("--train", "probe", "--epochs", "2")
pytestmark = pytest.mark.usefixtures("tiny", "images")


def test_the_figure_goes_to_standard_output_and_the_rest_elsewhere(zoo: Zoo) -> None:
    code, out, err = zoo("run", *ARGUMENTS, *PROBE)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "tiny/net+heads/linear+losses/cekl"
    assert lines[1].startswith("  validation top-1 ")
    assert lines[-2] == "Run folder: runs/tiny-net-linear-cekl-1"
    assert "decode: 15 images" in err
    assert "probe 2/2  loss" in err
    assert "\x1b" not in out + err


def test_json_is_the_summary_and_nothing_else(zoo: Zoo) -> None:
    code, out, _ = zoo("run", *ARGUMENTS, *PROBE, "--out", "here", "--json")
    assert code == 0
    told = json.loads(out)
    assert told.pop("folder") == "here"
    assert told == json.loads(Path("here/summary.json").read_text())


def test_every_option_reaches_its_setting(zoo: Zoo) -> None:
    code, out, _ = zoo(
        *("run", *ARGUMENTS, *PROBE, "--lr", "0.5", "--batch-size", "4", "--seed", "7"),
        *("--image-size", "24", "--metric", "macro_f1", "--bad-images", "skip"),
        *("--set", "head.dropout=0.25", "--set", "clip=2", "--precision", "fp32"),
        *("--dry-run", "--json"),
    )
    assert code == 0
    plan = json.loads(out)
    settings = {name: one["value"] for name, one in plan["settings"].items()}
    assert (settings["lr"], settings["batch_size"], settings["seed"]) == (0.5, 4, 7)
    assert (settings["image_size"], settings["metric"]) == (24, "macro_f1")
    assert plan["settings"]["precision"] == {"value": "fp32", "origin": "command line"}
    assert (settings["bad_images"], settings["clip"], settings["epochs"]) == ("skip", 2.0, 2)
    assert plan["head"]["options"]["dropout"] == 0.25
    assert plan["option_origins"] == {"head.dropout": "command line"}
    assert plan["settings"]["clip"]["origin"] == "command line"
    assert plan["settings"]["momentum"]["origin"] == "default"


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--balance", "It is a setting: --set balance=VALUE\n"),
        ("--views.cached=8", "It is a setting: --set views.cached=VALUE\n"),
        ("--weight-decay", "It is a setting: --set weight_decay=VALUE\n"),
    ],
)
def test_a_setting_that_has_no_option_is_told_how_to_be_given(
    zoo: Zoo, option: str, told: str
) -> None:
    code, out, err = zoo("run", *ARGUMENTS, option, "1")
    assert (code, out) == (2, "")
    assert err.endswith(told)
    assert "setting" not in zoo("run", *ARGUMENTS, "--frobnicate")[2]
    assert "setting" not in zoo("list", "--balance")[2]


def test_help_names_every_setting_with_its_default(zoo: Zoo) -> None:
    code, out, _ = zoo("run", "--help")
    assert code == 0
    table = out.partition("Settings, for --set and registry.toml:")[2]
    told = dict(re.findall(r"^  ([a-z_.]+) +(\S.*(?:\n {6,}.*)*)", table, re.MULTILINE))
    assert told.keys() == SETTINGS.keys()
    assert "[none]" in told["balance"]
    assert "from 0.01 to 0.9" in " ".join(told["val_fraction"].split())


def test_a_dry_run_shows_the_plan_and_writes_nothing(zoo: Zoo) -> None:
    code, out, err = zoo(
        "run", "tiny/net+contrastive+ce", *ARGUMENTS[1:], "--train", "lpft", "--dry-run",
        "--set", "balance=sampler",
    )  # fmt: skip
    assert (code, err) == (0, "")
    for words in (
        "backbone tiny/net (zoo-tiny 1.0): ",
        "weights  none",
        "input    32x32 px, 2 view(s) of each image in training",
        "loss     ce",
        "left out view_classifier.weight, view_classifier.bias",
        "data     12 training, 3 validation, 0 test images",
        "classes  3: ant, bee, cat",
        "probe    500 epochs of 2 steps",
        "         epochs: about 500 steps on stored features",
        "full     ",
        "set      balance = sampler (command line)",
    ):
        assert words in out
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_an_auto_probe_says_why(zoo: Zoo) -> None:
    _, out, _ = zoo("run", *ARGUMENTS, "--dry-run")
    assert "train: random weights have no features worth probing" in out


def test_unbalanced_classes_are_warned_of(zoo: Zoo, draw: Any) -> None:  # noqa: ANN401 - a fixture that draws
    draw(Path("unbalanced"), (30, 2))
    spec, flag, _, *rest = ARGUMENTS
    given = (spec, flag, "unbalanced", *rest, "--dry-run")
    code, out, _ = zoo("run", *given)
    assert code == 0
    assert "classes are unbalanced 12:1; consider --set balance=sampler" in out
    _, out, _ = zoo("run", *given, "--set", "balance=sampler")
    assert "unbalanced 12:1" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run",), 2, "wants a SPEC"),
        (("run", "tiny/net+linear+ce", "--weights", "none"), 2, "There is no data"),
        (("run", "tiny/net+linear", *ARGUMENTS[1:]), 2, "backbone+head+loss"),
        (("run", *ARGUMENTS, "--epochs", "x"), 2, "epochs wants a whole number"),
        (("run", *ARGUMENTS, "--set", "x"), 2, "--set x is not key=value"),
        (("run", *ARGUMENTS, "--nope"), 2, "--nope"),
        (("run", "tiny/nat+linear+ce", *ARGUMENTS[1:]), 69, "tiny/net"),
        (("run", *ARGUMENTS, "--observe", "x"), 69, "--observe x"),
        (("run", *ARGUMENTS, "--out", "images/x"), 73, "inside the data folder"),
        (("run", *ARGUMENTS, "--registry", "gone.toml"), 66, "gone.toml"),
    ],
)
def test_a_bad_request_has_its_exit_code_and_no_traceback(
    zoo: Zoo, arguments: tuple[str, ...], code: int, words: str
) -> None:
    got, out, err = zoo(*arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_a_name_cannot_command_the_terminal(zoo: Zoo) -> None:
    Path("images/ant/\x1b[2J.png").write_bytes(b"no picture")
    code, out, err = zoo("run", *ARGUMENTS, *PROBE, "--bad-images", "skip")
    assert code == 0
    assert "\\x1b[2J.png" in err
    assert "\x1b" not in out + err


def test_a_bug_says_that_it_is_one(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(corridor, "ingested", failing)
    code, _, err = zoo("run", *ARGUMENTS, *PROBE)
    assert code == 1
    assert "ZeroDivisionError: a bug" in err
    assert "This is a bug in zoo" in err


def test_debug_shows_where_an_error_comes_from(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "")
    code, _, err = zoo("--debug", "run", *ARGUMENTS, "--epochs", "x")
    assert code == 2
    assert "Traceback" in err
