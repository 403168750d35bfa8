"""The losses beside the libraries' own, what ties them together, and training for real."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
import torch
import zoo_more_losses
from timm import loss as timm_losses
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it
from torchvision.ops import sigmoid_focal_loss

import zoo

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.components import Component, Value

LOSSES = {component.name: component for component in zoo_more_losses.zoo_losses()}
SAMPLES, VIEWS, CLASSES = 7, 3, 4
TARGET = torch.arange(SAMPLES) % CLASSES
ONE_HOT = F.one_hot(TARGET, CLASSES).float()
SINGLE = [name for name, one in LOSSES.items() if one.needs == ("logits",)]
CONTEXT = zoo.LossContext(classes=CLASSES, class_counts=(2, 2, 2, 1), embedding=0, steps=10)


def output(scale: float = 2.0, samples: int = SAMPLES, views: int = VIEWS) -> zoo.HeadOutput:
    generator = torch.Generator().manual_seed(0)
    view_logits = (
        scale * torch.randn(samples, views, CLASSES, generator=generator)
    ).requires_grad_()
    return zoo.HeadOutput(view_logits.mean(dim=1), view_logits)


def views_of(given: zoo.HeadOutput) -> Tensor:
    assert given.view_logits is not None
    return given.view_logits


def of(given: zoo.HeadOutput, views: list[int]) -> zoo.HeadOutput:
    """These views of an output alone."""
    return zoo.HeadOutput(given.logits, views_of(given)[:, views])


def batch(target: Tensor = TARGET, weight: Tensor | None = None) -> zoo.Batch:
    return zoo.Batch(target, torch.arange(len(target)), 0, weight=weight)


def built(name: str, **options: Value) -> nn.Module:
    component: Component = LOSSES[name]
    module, _, attribute = component.target.partition(":")
    return getattr(import_module(module), attribute)(CONTEXT, **options)


def terms(
    name: str, given: zoo.HeadOutput, batch: zoo.Batch, **options: Value
) -> dict[str, Tensor]:
    return built(name, **options)(given, batch)


def total(name: str, given: zoo.HeadOutput, batch: zoo.Batch, **options: Value) -> Tensor:
    return torch.stack(list(terms(name, given, batch, **options).values())).sum()


def test_the_plugin_is_listed_without_torch() -> None:
    code = (
        "import sys, zoo_more_losses as z; list(z.zoo_losses()); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", LOSSES)
def test_the_target_takes_exactly_the_declared_options_with_their_defaults(name: str) -> None:
    module, _, attribute = LOSSES[name].target.partition(":")
    defaults = {key: option.default for key, option in LOSSES[name].options.items()}
    assert getattr(import_module(module), attribute).__kwdefaults__ == defaults


# Beside the libraries


def test_sigmoid_focal_is_torchvisions_summed_over_the_classes() -> None:
    logits = output().logits
    theirs = sigmoid_focal_loss(logits, ONE_HOT, alpha=0.3, gamma=1.5).sum(-1).mean()
    torch.testing.assert_close(
        total("sigmoid_focal", output(), batch(), alpha=0.3, gamma=1.5), theirs
    )


def test_asymmetric_is_timms() -> None:
    theirs = timm_losses.AsymmetricLossSingleLabel(gamma_pos=1, gamma_neg=2, eps=0.2)
    found = total("asymmetric", output(), batch(), gamma_pos=1.0, gamma_neg=2.0, eps=0.2)
    torch.testing.assert_close(found, theirs(output().logits, TARGET))


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("threshold", [None, 0.2])
def test_bce_is_timms(threshold: float | None, summed: bool) -> None:  # noqa: FBT001
    theirs = timm_losses.BinaryCrossEntropy(
        smoothing=0.2, target_threshold=threshold, sum_classes=summed
    )
    options = {} if threshold is None else {"target_threshold": threshold}
    found = total("bce", output(), batch(), smoothing=0.2, sum_classes=summed, **options)
    torch.testing.assert_close(found, theirs(output().logits, TARGET))


def test_label_smoothing_is_timms_and_knows_distributions() -> None:
    theirs = timm_losses.LabelSmoothingCrossEntropy(0.3)(output().logits, TARGET)
    for target in (TARGET, ONE_HOT):
        found = total("label_smoothing", output(), batch(target), smoothing=0.3)
        torch.testing.assert_close(found, theirs)


def test_poly1_is_timms() -> None:
    theirs = timm_losses.PolyCrossEntropy(epsilon=1.5, smoothing=0.1)(output().logits, TARGET)
    torch.testing.assert_close(
        total("poly1", output(), batch(), epsilon=1.5, smoothing=0.1), theirs
    )


@pytest.mark.parametrize("views", [1, 2, 4])
def test_jsd_is_timms_over_as_many_views_as_there_are(views: int) -> None:
    given = output(views=views)
    theirs = timm_losses.JsdCrossEntropy(num_splits=views, alpha=3, smoothing=0.2)
    splits = torch.cat(views_of(given).unbind(dim=1))
    found = total("jsd", given, batch(), alpha=3.0, smoothing=0.2)
    torch.testing.assert_close(found, theirs(splits, TARGET.repeat(views)))


def test_rdrop_is_half_of_the_papers_sum() -> None:
    given = output(views=2)
    one, other = (z.log_softmax(-1) for z in views_of(given).unbind(dim=1))
    both = F.kl_div(one, other, log_target=True, reduction="batchmean") + F.kl_div(
        other, one, log_target=True, reduction="batchmean"
    )
    paper = F.nll_loss(one, TARGET) + F.nll_loss(other, TARGET) + 4 * both / 2
    torch.testing.assert_close(total("rdrop", given, batch(), alpha=4.0), paper / 2)


def test_rdrop_treats_more_than_two_views_alike() -> None:
    given = output(views=3)
    found = terms("rdrop", given, batch(), alpha=4.0)
    pairs = [
        terms("rdrop", of(given, pair), batch(), alpha=4.0) for pair in ([0, 1], [0, 2], [1, 2])
    ]
    for name in ("ce", "kl"):
        mean = torch.stack([one[name] for one in pairs]).mean()
        torch.testing.assert_close(found[name], mean)
    assert len({float(one["kl"].detach()) for one in pairs}) == 3
    shuffled = terms("rdrop", of(given, [2, 0, 1]), batch(), alpha=4.0)
    torch.testing.assert_close(shuffled["kl"], found["kl"])


# What ties them together


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("focal", {"gamma": 0.0}),
        ("poly1", {"epsilon": 0.0}),
        ("label_smoothing", {"smoothing": 0.0}),
        ("asymmetric", {"gamma_pos": 0.0, "gamma_neg": 0.0, "eps": 0.0}),
    ],
)
def test_without_its_speciality_a_loss_is_cross_entropy(
    name: str, options: dict[str, Value]
) -> None:
    plain = F.cross_entropy(output().logits, TARGET)
    torch.testing.assert_close(total(name, output(), batch(), **options), plain)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 5.0])
def test_focal_is_less_than_cross_entropy_and_falls_with_gamma(gamma: float) -> None:
    less, more = (total("focal", output(), batch(), gamma=g) for g in (gamma + 1, gamma))
    assert less < more < F.cross_entropy(output().logits, TARGET)


@pytest.mark.parametrize("name", SINGLE)
def test_a_one_hot_distribution_is_its_index(name: str) -> None:
    index, soft = (total(name, output(), batch(target)) for target in (TARGET, ONE_HOT))
    torch.testing.assert_close(index, soft)


@pytest.mark.parametrize("name", [name for name in LOSSES if LOSSES[name].weighted])
def test_a_weight_of_two_counts_as_the_sample_twice(name: str) -> None:
    given, places = output(), [0, *range(SAMPLES)]
    weight = torch.tensor([2.0] + [1.0] * (SAMPLES - 1))
    doubled = zoo.HeadOutput(given.logits[places], views_of(given)[places])
    once = total(name, given, batch(weight=weight)) * SAMPLES
    torch.testing.assert_close(once, total(name, doubled, batch(TARGET[places])) * (SAMPLES + 1))


@pytest.mark.parametrize("scale", [0.0, 1e4])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_stay_finite_at_even_and_at_extreme_logits(name: str, scale: float) -> None:
    given = output(scale)
    found = total(name, given, batch())
    (gradient,) = torch.autograd.grad(found, [views_of(given)])
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_one_image_is_a_batch(name: str) -> None:
    assert total(name, output(samples=1), batch(TARGET[:1])).isfinite()


# For real


@pytest.mark.parametrize(
    "spec", ["linear+more-losses/focal", "linear:dropout=0.2+more-losses/rdrop"]
)
def test_it_trains_on_the_demo_pictures(spec: str, tmp_path: Path) -> None:
    run = zoo.run(
        f"efficientnet-lite/lite0+{spec}",
        "demo",
        out=tmp_path / "run",
        settings={"train": "probe", "epochs": 5, "seed": 0, "views.cached": 2, "image_size": 64},
    )
    lines = (run.folder / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert run.summary["val"]["top1"] > 0.5
