from __future__ import annotations

import json
import math
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

import zoo
from zoo.corridor import Run
from zoo.errors import Diverged, PluginFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from zoo.index import Catalog

Train = Any  # a fixture that trains
Losses = Any  # a fixture that replaces a loss
Figures = Any  # a fixture that says figures
Draw = Any  # a fixture that draws pictures
pytestmark = pytest.mark.usefixtures("tiny")


def tensors(done: Run | Path) -> dict[str, Tensor]:
    folder = done.folder if isinstance(done, Run) else done
    return load_file(folder / "model" / "model.safetensors")


def records(done: Run) -> list[dict[str, Any]]:
    lines = (done.folder / "metrics.jsonl").read_text().splitlines()
    timed = ("seconds", "images_per_second")
    return [{k: v for k, v in json.loads(line).items() if k not in timed} for line in lines]


def equal(one: Run, other: Run) -> bool:
    a, b = tensors(one), tensors(other)
    return a.keys() == b.keys() and all(a[name].equal(b[name]) for name in a)


@pytest.mark.parametrize(
    ("spec", "train_"),
    [
        ("tiny/net+linear:dropout=0.5+cekl", "probe"),
        ("tiny/net+contrastive+cekl:target=view", "lpft"),
        ("tiny/net+contrastive:dropout=0.2+cekl:target=prior", "full"),
    ],
)
def test_the_same_seed_gives_the_same_bits(
    images: Path, tmp_path: Path, train: Train, spec: str, train_: str
) -> None:
    one, same, other = (
        train(
            images, tmp_path / name, spec=spec, train=train_, epochs=2, probe__epochs=2, seed=seed
        )
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert equal(one, same)
    assert records(one) == records(same)
    assert not equal(one, other)


def test_nobodys_random_numbers_and_cores_enter(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = train(images, tmp_path / "a", train="full", epochs=1)
    torch.rand(3)
    monkeypatch.setattr("zoo.training.features.cores", lambda: 1)
    assert equal(one, train(images, tmp_path / "b", train="full", epochs=1))


def test_a_probe_leaves_every_bit_of_the_backbone_and_full_does_not(
    images: Path, tmp_path: Path, train: Train
) -> None:
    settings = {"spec": "tiny/net+contrastive+cekl", "freeze_bn": "off", "lr": 0.01}
    probe = train(images, tmp_path / "a", epochs=2, **settings)
    longer = train(images, tmp_path / "b", epochs=4, **settings)
    full = train(images, tmp_path / "c", train="full", epochs=2, **settings)
    head = {name for name in tensors(probe) if name.startswith("head.")}
    backbone = {name for name in tensors(probe) if name.startswith("backbone.")}
    assert {"backbone.norm.running_mean", "backbone.norm.num_batches_tracked"} < backbone
    for name in backbone:
        assert tensors(probe)[name].equal(tensors(longer)[name])
        assert name == "backbone.conv.bias" or not tensors(probe)[name].equal(tensors(full)[name])
    assert not any(tensors(probe)[name].equal(tensors(longer)[name]) for name in head)
    frozen = probe.summary["train"]["frozen"]
    assert frozen["verified"]
    assert frozen["before"] == frozen["after"]
    assert full.summary["train"]["frozen"] is None
    assert "bit-equal before and after" in repr(probe)
    assert "frozen" not in repr(full)


def test_frozen_norms_keep_their_statistics_in_a_full_phase(
    images: Path, tmp_path: Path, train: Train
) -> None:
    probe = tensors(train(images, tmp_path / "a"))
    full = tensors(train(images, tmp_path / "b", train="full", epochs=2, freeze_bn="on", lr=0.01))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert full[f"backbone.norm.{name}"].equal(probe[f"backbone.norm.{name}"])
    assert not full["backbone.norm.weight"].equal(probe["backbone.norm.weight"])


def test_lpft_says_so_of_both_phases(images: Path, tmp_path: Path, train: Train) -> None:
    done = train(images, tmp_path / "a", train="lpft", epochs=2, probe__epochs=3)
    assert [(one["phase"], one["epoch"]) for one in records(done)] == [
        *(("probe", epoch) for epoch in (1, 2, 3)),
        *(("full", epoch) for epoch in (1, 2)),
    ]
    told = done.summary["train"]
    assert told["mode"] == "probe+full"
    assert told["frozen"] is None
    assert told["frozen_in_probe"]["verified"]


def test_a_classifier_that_the_loss_never_uses_is_left_out_and_left_alone(
    images: Path, tmp_path: Path, train: Train
) -> None:
    short, longer = (
        train(images, tmp_path / f"{epochs}", spec="tiny/net+contrastive+ce", epochs=epochs)
        for epochs in (1, 3)
    )
    unused = {"view_classifier.weight", "view_classifier.bias"}
    assert set(short.summary["train"]["left_out"]) == unused
    assert "left out of training" in repr(short)
    for name, tensor in tensors(short).items():
        if name.startswith("head."):
            stands = tensor.equal(tensors(longer)[name])
            assert stands == (name.removeprefix("head.") in unused)


# what can go wrong


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., dict[str, Tensor]]], None]:
    """Put another function in the place of the cekl loss's forward."""

    def replace(forward: Callable[..., dict[str, Tensor]]) -> None:
        monkeypatch.setattr("zoo_losses.cekl.CrossEntropyKL.forward", forward)

    return replace


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_step(
    images: Path,
    tmp_path: Path,
    train: Train,
    losses: Losses,
    bad: float,
) -> None:
    calls = 0

    def forward(_self: object, output: Any, _batch: object) -> dict[str, Tensor]:  # noqa: ANN401 - a HeadOutput
        nonlocal calls
        calls += 1
        return {
            "ce": output.logits.square().mean(),
            "kl": output.logits.mean() * (bad if calls == 4 else 1),
        }

    losses(forward)
    with pytest.raises(Diverged) as caught:
        train(images, tmp_path / "a", epochs=5, batch_size=8, lr=0.5)
    words = caught.value.message
    assert caught.value.exit_code == 3
    assert "at step 2 of the probe phase (epoch 2, learning rate 0.4" in words
    assert f"kl {'nan' if math.isnan(bad) else '-inf'}" in words or f"kl {bad}" in words
    assert words.count(".png") == 8
    assert "No weight was updated" in words
    ending = json.loads((tmp_path / "a" / "exit.json").read_text())
    assert (ending["status"], ending["code"]) == ("failed", 3)


def test_where_kernels_do_not_obey_nothing_is_said_of_the_weights(
    images: Path,
    tmp_path: Path,
    train: Train,
    losses: Losses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    factors = chain((1.0,) * 3, repeat(math.nan))  # the first ones prove the parts

    def forward(_self: object, output: Any, _batch: object) -> dict[str, Tensor]:  # noqa: ANN401 - a HeadOutput
        return {"ce": output.logits.mean() * next(factors)}

    losses(forward)
    monkeypatch.setattr("zoo.training.optimise.OBEYING", {"cuda"})
    with pytest.raises(Diverged) as caught:
        train(images, tmp_path / "a", epochs=5)
    assert "weight was updated" not in caught.value.message


def test_a_gradient_that_is_not_finite_stops_too(
    images: Path,
    tmp_path: Path,
    train: Train,
    losses: Losses,
) -> None:
    def forward(_self: object, output: Any, _batch: object) -> dict[str, Tensor]:  # noqa: ANN401 - a HeadOutput
        return {"ce": (output.logits.square().sum() - output.logits.square().sum()).sqrt()}

    losses(forward)
    with pytest.raises(Diverged, match=r"ce 0\.0, gradient norm (nan|inf)"):
        train(images, tmp_path / "a", epochs=1)


def test_a_term_that_can_only_be_zero_is_said_to_be_vacuous(
    images: Path, tmp_path: Path, train: Train
) -> None:
    done = train(images, tmp_path / "a", spec="tiny/net+linear+cekl:target=view", augment="off")
    assert done.summary["train"]["phases"][0]["vacuous_terms"] == ["kl"]
    assert "vacuous: the loss term kl was zero in every step of the probe phase" in repr(done)
    seen = train(images, tmp_path / "b", spec="tiny/net+linear+cekl:target=view")
    assert seen.summary["train"]["phases"][0]["vacuous_terms"] == []


def test_a_last_batch_of_one_joins_the_one_before(
    images: Path, tmp_path: Path, train: Train
) -> None:
    done = train(images, tmp_path / "a", batch_size=11, train="full", epochs=2)
    assert [one["step"] for one in records(done)] == [1, 2]


# choosing


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Let validation say these top-1 figures, one epoch after the other."""

    def say(values: list[float]) -> None:
        told: Iterator[float] = iter(values)

        def scores(*_: object) -> tuple[float, float]:
            figure = next(told)
            return figure, 1 - figure

        monkeypatch.setattr("zoo.training.train.quick_scores", scores)

    return say


@pytest.mark.parametrize(
    "best", [("top1", 2, "full"), ("top1", 2, "probe"), ("macro_f1", 1, "probe")]
)
def test_the_best_epoch_is_kept_where_that_is_wanted(
    images: Path, tmp_path: Path, train: Train, figures: Figures, best: tuple[str, int, str]
) -> None:
    metric, epoch, mode = best
    settings = {"metric": metric, "train": mode, "lr": 0.01, "warmup": 0}
    figures([0.25, 0.75, 0.75, 0.5])
    done = train(images, tmp_path / "a", epochs=4, select="best", **settings)
    (phase,) = done.summary["train"]["phases"]
    assert (phase["best_epoch"], phase["epochs"], phase["stopped_early"]) == (epoch, 4, False)
    assert "the epoch was chosen by it" in repr(done)
    figures([0.25, 0.75, 0.75, 0.5])
    last = train(images, tmp_path / "b", epochs=4, select="last", **settings)
    assert not equal(done, last)
    assert not last.summary["train"]["val_used_to_choose"]
    # The rate's schedule is that of four epochs: stop it by patience where the best was.
    figures([0.25, 0.75, 0.75, 0.5][:epoch] + [0.0 if metric == "top1" else 1.0] * 3)
    short = train(images, tmp_path / "c", epochs=4, select="best", **settings)
    assert equal(done, short)


def test_patience_ends_a_phase_that_gets_no_better(
    images: Path,
    tmp_path: Path,
    train: Train,
    figures: Figures,
) -> None:
    figures([0.5, 0.625, 0.625, 0.5, 0.875])
    done = train(images, tmp_path / "a", epochs=9, patience=2)
    (phase,) = done.summary["train"]["phases"]
    assert (phase["epochs"], phase["best_epoch"], phase["stopped_early"]) == (4, 2, True)
    assert done.summary["train"]["val_used_to_choose"]


def test_without_a_validation_part_there_is_no_figure(
    draw: Draw,
    tmp_path: Path,
    train: Train,
) -> None:
    done = train(draw(tmp_path / "two", (2, 2)), tmp_path / "a", patience=1, select="best")
    assert [one["top1"] for one in records(done)] == [None] * 3
    assert done.summary["val"] is None
    assert done.summary["headline"] is None
    assert "there is no figure" in repr(done)


# settings of the optimiser


def test_the_rate_of_each_epoch_is_recorded(images: Path, tmp_path: Path, train: Train) -> None:
    done = train(images, tmp_path / "a", epochs=4, batch_size=12, lr=0.5, warmup=0)
    # Four steps: one of warmup, at half, then a cosine over three.
    rates = [0.25] + [0.25 * (1 + math.cos(math.pi * step / 3)) for step in range(3)]
    assert [one["lr"] for one in records(done)] == pytest.approx(rates)


def test_a_clipped_gradient_moves_plain_descent_no_farther(
    images: Path, tmp_path: Path, train: Train
) -> None:
    settings = {"train": "full", "optimizer": "sgd", "momentum": 0, "weight_decay": 0}
    more = {"epochs": 1, "batch_size": 12, "lr": 1.0, "head_lr_multiplier": 1, "warmup": 0}
    one = tensors(train(images, tmp_path / "a", clip=0.125, **settings, **more))
    start = tensors(train(images, tmp_path / "b", clip=1e-30, **settings, **more))
    names = [name for name in one if "running" not in name and "batches" not in name]
    moved = math.sqrt(sum(float((one[name] - start[name]).square().sum()) for name in names))
    assert moved == pytest.approx(0.125 / 2, rel=1e-3)  # the first step's rate is a half


def test_balance_weights_and_sampler_both_lift_the_rare_class(
    draw: Draw,
    tmp_path: Path,
    train: Train,
) -> None:
    data = draw(tmp_path / "unbalanced", (20, 4))
    plain, weighted, drawn = (
        train(
            data,
            tmp_path / balance,
            balance=balance,
            spec="tiny/net+linear+ce",
            epochs=1,
            batch_size=19,
        )
        for balance in ("none", "weights", "sampler")
    )
    lean = [float(tensors(one)["head.classifier.bias"].diff()) for one in (plain, weighted, drawn)]
    assert lean[0] < lean[1]
    assert lean[0] < lean[2]


def test_a_wider_backbone_needs_the_declared_width(
    images: Path, tmp_path: Path, train: Train, tiny: Callable[..., Catalog]
) -> None:
    with pytest.raises(PluginFault, match="declares 8 features and gives 4"):
        train(images, tmp_path / "a", backbone__width=4)
    tiny(facts=zoo.Facts())
    assert (
        train(images, tmp_path / "a", backbone__width=4).summary["train"]["backbone_params"] < 400
    )
