"""Numbers that are none: what is not finite stops a run, and never becomes its result (N)."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

import zoo
from zoo.cli import main
from zoo.training import optimise, predictor
from zoo.training import train as training

if TYPE_CHECKING:
    from collections.abc import Callable

Left = Any  # a fixture that reads what a run left
Zoo = Any  # a fixture that runs the command line
Tiny = Any  # a fixture that installs the tiny catalog
COMMON = ("--data", "images", "--weights", "none", "--device", "cpu", "--batch-size", "4")
#: 12 pictures in batches of 4: step 7, from 0, is the second of the third epoch
AT, EPOCH = 7, 3
#: of tests/parts/faulty_losses.py
MENDED = "ZOO_TEST_LOSS_IS_MENDED"
FAULTY = zoo.Component(
    name="faulty",
    target="faulty_losses:Faulty",
    options={
        "fault": zoo.Option(type="str", default="nan"),
        "at": zoo.Option(type="int", default=AT),
    },
    needs=("logits",),
)


@pytest.fixture(autouse=True)
def _faulty(tiny: Tiny, images: Path) -> None:
    del images  # copied into the working directory
    tiny(losses=[FAULTY])


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Zoo:
    """Run the command line here; gives exit code and standard error."""

    def run(*arguments: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        return ended.value.code, capsys.readouterr().err

    return run


def finite(run: Path) -> int:
    """How many tensors a run's files hold, all of them finite."""
    count = 0
    for file in run.rglob("*.safetensors"):
        for name, tensor in load_file(file).items():
            assert bool(torch.isfinite(tensor).all()), (file, name)
            count += 1
    return count


def faulty_run(fault: str, *options: str) -> tuple[str, ...]:
    spec = f"tiny/net+linear+tiny/faulty:fault={fault}"
    steps = ("--set", "checkpoint.steps=3", "--set", "checkpoint.seconds=100000", "--epochs", "4")
    return ("run", spec, *COMMON, *steps, *options, "--out", fault)


@pytest.mark.parametrize("mode", ["probe", "full"])
@pytest.mark.parametrize(
    ("fault", "shown"),
    [("nan", "nan"), ("inf", "inf"), ("minus_inf", "-inf"), ("gradient", "gradient norm")],
)
def test_n1_a_loss_that_is_not_finite_stops_the_run_before_its_step_and_is_diagnosed(
    cli: Zoo, left: Left, monkeypatch: pytest.MonkeyPatch, *, mode: str, fault: str, shown: str
) -> None:
    command = faulty_run(fault, "--train", mode, "--lr", "0.01")
    code, err = cli(*command)
    run = Path(fault)
    assert code == 3
    assert "Traceback" not in err
    assert f"not finite at step {AT} of the {mode} phase (epoch {EPOCH}, learning rate" in err
    assert shown in err
    assert "--lr" in err
    told = json.loads((run / "diagnosis.json").read_text())
    assert (told["phase"], told["epoch"], told["step"]) == (mode, EPOCH, AT)
    assert 0 < told["lr"] <= 0.01
    assert "ce" in told["terms"]
    names = {one["name"] for one in json.loads((run / "split.json").read_text())["files"]}
    assert len(set(told["files"])) == 4
    assert set(told["files"]) <= names
    ending = json.loads((run / "exit.json").read_text())
    assert (ending["status"], ending["code"]) == ("failed", 3)
    assert [path.name for path in sorted(run.glob("checkpoints/step-*"))] == [
        "step-00000003",
        "step-00000006",
    ]
    assert finite(run) > 4
    # No weight was updated with it: with the loss mended, the run ends as if nothing had been.
    monkeypatch.setenv(MENDED, "1")
    assert cli("resume", fault)[0] == 0
    assert cli(*command[:-1], "unbroken")[0] == 0
    assert left(run) == left(Path("unbroken"))


@pytest.mark.parametrize(
    "fault", ["complex", "integer", "shape", "number", "no_gradient", "device", "raises", "nothing"]
)
def test_n1_a_loss_that_breaks_its_contract_in_the_middle_is_the_plugins_fault(
    cli: Zoo, fault: str
) -> None:
    code, err = cli(*faulty_run(fault, "--train", "probe"))
    assert code == 70
    assert "tiny/faulty" in err
    assert "zoo-tiny 1.0" in err
    assert "Traceback" not in err
    assert json.loads((Path(fault) / "exit.json").read_text())["code"] == 70
    assert finite(Path(fault)) > 4


@pytest.mark.parametrize("metric", ["top1", "macro_f1"])
def test_n4_a_figure_that_is_no_number_is_never_the_best_and_is_told(
    cli: Zoo, monkeypatch: pytest.MonkeyPatch, metric: str
) -> None:
    given = iter([(math.nan, math.nan), (0.5, 0.5), (0.25, 0.9), (math.nan, math.nan)])

    def figures(*_: object) -> tuple[float, float]:
        return next(given)

    monkeypatch.setattr(training, "quick_scores", figures)
    code, err = cli(
        *("run", "tiny/net+linear+ce", *COMMON, "--train", "probe", "--epochs", "4"),
        *("--metric", metric, "--set", "select=best", "--out", "run"),
    )
    assert code == 0, err
    summary = json.loads(Path("run/summary.json").read_text())
    assert summary["train"]["phases"][0]["best_epoch"] == (2 if metric == "top1" else 3)
    lines = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert [line["top1"] for line in lines] == [None, 0.5, 0.25, None]
    assert "no number" in err


@pytest.mark.parametrize("command", ["predict", "eval"])
def test_n4_a_model_whose_logits_are_no_numbers_gives_no_answers(
    cli: Zoo, finished: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    real = predictor.head_logits

    def logits(*what: Any, **named: Any) -> torch.Tensor:  # noqa: ANN401 - as the function takes them
        return real(*what, **named) * math.inf

    monkeypatch.setattr(predictor, "head_logits", logits)
    given = {"predict": ("images/ant",), "eval": ("--data", "images")}[command]
    code, err = cli(command, str(finished), *given)
    assert code == 3
    assert "not finite" in err


def refused_to_save(run: Path, err: str, tensor: str) -> None:
    assert "No checkpoint was written of it" in err
    assert tensor in json.loads((run / "diagnosis.json").read_text())["tensor"]
    assert not (run / "model").exists()
    assert not (run / "summary.json").exists()
    assert finite(run) > 4


@pytest.mark.parametrize("mode", ["probe", "full"])
def test_n5_weights_that_leave_the_finite_between_two_looks_are_never_saved(
    cli: Zoo, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    real, steps = optimise.clip, itertools.count(1)

    def overflowing(optimizer: Any, limit: float) -> torch.Tensor:  # noqa: ANN401 - passed on
        if next(steps) == AT:
            with torch.no_grad():
                optimizer.param_groups[0]["params"][0].flatten()[0] = torch.inf
        return real(optimizer, limit)

    monkeypatch.setattr(optimise, "clip", overflowing)
    code, err = cli(
        *("run", "tiny/net+linear+ce", *COMMON, "--train", mode, "--epochs", "4"),
        *("--set", "checkpoint.steps=1", "--out", "run"),
    )
    assert code == 3, err
    refused_to_save(Path("run"), err, "trained.")
    assert len(list(Path("run").glob("checkpoints/step-*"))) == 2


def test_n5_a_buffer_that_leaves_the_finite_unnoticed_is_never_saved(cli: Zoo) -> None:
    code, err = cli(*faulty_run("buffer", "--train", "probe"))
    assert code == 0, err  # it was finite again when it was saved
    code, err = cli(*faulty_run("buffer", "--train", "probe", "--set", "loss.at=8")[:-1], "run")
    assert code == 3, err
    refused_to_save(Path("run"), err, "loss.peak")


@pytest.mark.parametrize("loss", ["ce", "cekl"])
def test_n6_a_frozen_backbone_comes_out_bit_for_bit_as_it_went_in(cli: Zoo, loss: str) -> None:
    spec = f"tiny/net+linear+{loss}"
    start = ("run", spec, *COMMON, "--train", "probe", "--lr", "0.5", "--out")
    for out, epochs in (("short", "1"), ("long", "9")):
        assert cli(*start, out, "--epochs", epochs)[0] == 0
        frozen = json.loads(Path(out, "summary.json").read_text())["train"]["frozen"]
        assert frozen["verified"] is True
        assert frozen["before"] == frozen["after"]
    short, long = (load_file(f"{out}/model/model.safetensors") for out in ("short", "long"))
    for name in short:  # parameters and buffers
        if name.startswith("backbone."):
            assert torch.equal(short[name], long[name]), name
    assert any(not torch.equal(short[name], long[name]) for name in short)


@pytest.mark.parametrize("mode", ["probe", "full"])
def test_n7_the_same_seed_gives_the_same_bits_whatever_decodes_the_images(
    cli: Zoo, left: Left, cold: Callable[[], None], mode: str
) -> None:
    start = ("run", "tiny/net+linear:dropout=0.5+cekl", *COMMON, "--train", mode, "--epochs", "3")
    runs = itertools.product(("1", "4"), ("5",))
    found: list[dict[str, Any]] = []
    for workers, seed in [*runs, ("1", "5"), ("1", "6")]:
        cold()
        out = f"{workers} {seed} {len(found)}"
        options = ("--seed", seed, "--set", f"workers={workers}", "--out", out)
        code, err = cli(*start, *options)
        assert code == 0, err
        found.append(left(Path(out)))
    one, four, again, other_seed = found
    assert one == four == again
    assert one["metrics"] != other_seed["metrics"]
