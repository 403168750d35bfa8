"""The losses beside the library's own, the head's geometry, and training on pictures for real."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import pytest
import torch
import zoo_metric_learning
from pytorch_metric_learning import losses, miners
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it
from zoo_metric_learning import survey

import zoo

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.components import Component, Value

LOSSES = {component.name: component for component in zoo_metric_learning.zoo_losses()}
(COSINE,) = zoo_metric_learning.zoo_heads()
PAIRS = [name for name, chosen in survey.CHOSEN.items() if chosen.of == "embeddings"]
MARGINS = [name for name, chosen in survey.CHOSEN.items() if chosen.of == "similarities"]
SAMPLES, VIEWS, WIDTH, CLASSES = 12, 2, 6, 3
TARGET = torch.arange(SAMPLES) % CLASSES
CONTEXT = zoo.LossContext(classes=CLASSES, class_counts=(4, 4, 4), embedding=WIDTH, steps=10)


def built(component: Component, context: object, **options: Value) -> nn.Module:
    module, _, attribute = component.target.partition(":")
    return getattr(import_module(module), attribute)(context, **options)


def batch(target: Tensor = TARGET, weight: Tensor | None = None) -> zoo.Batch:
    return zoo.Batch(target, torch.arange(len(target)), 0, weight=weight)


def embedded(samples: int = SAMPLES, views: int = VIEWS) -> zoo.HeadOutput:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(samples, views, WIDTH, generator=generator).requires_grad_()
    logits = torch.randn(samples, CLASSES, generator=generator).requires_grad_()
    return zoo.HeadOutput(logits, embeddings=embeddings)


def of(output: zoo.HeadOutput) -> Tensor:
    assert output.embeddings is not None
    return output.embeddings


def head(**options: Value) -> nn.Module:
    torch.manual_seed(0)
    return built(COSINE, zoo.HeadContext(features=WIDTH, classes=CLASSES, views=VIEWS), **options)


def features(views: int = VIEWS) -> Tensor:
    return torch.randn(SAMPLES, views, WIDTH, generator=torch.Generator().manual_seed(1))


# The descriptions


def test_the_plugin_is_listed_without_torch_and_without_the_library() -> None:
    code = (
        "import sys, zoo_metric_learning as z; list(z.zoo_losses()); list(z.zoo_heads()); "
        "assert not {'torch', 'pytorch_metric_learning', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_catalog_is_what_the_installed_library_says() -> None:
    shipped = json.loads(survey.CATALOG.read_text("utf-8"))
    assert shipped == {"losses": json.loads(json.dumps(survey.survey()))}


@pytest.mark.parametrize("name", LOSSES)
def test_a_target_names_its_options_with_the_declared_defaults(name: str) -> None:
    module, _, attribute = LOSSES[name].target.partition(":")
    parameters = inspect.signature(getattr(import_module(module), attribute)).parameters
    found = {key: one.default for key, one in parameters.items() if key != "context"}
    assert found == {key: option.default for key, option in LOSSES[name].options.items()}


def test_a_module_has_the_losses_of_its_kind_only() -> None:
    for module, name in (("pairs", "arcface"), ("margins", "supcon"), ("pairs", "nonsense")):
        with pytest.raises(AttributeError, match=name):
            getattr(import_module(f"zoo_metric_learning.{module}"), name)


# Losses on embeddings


@pytest.mark.parametrize("name", PAIRS)
def test_a_loss_on_embeddings_is_the_librarys_over_all_views_beside_cross_entropy(
    name: str,
) -> None:
    output = embedded()
    terms = built(LOSSES[name], CONTEXT, weight=0.5)(output, batch())
    theirs = getattr(losses, survey.CHOSEN[name].theirs)()
    flat, labels = of(output).flatten(0, 1), TARGET.repeat_interleave(VIEWS)
    torch.testing.assert_close(terms[name], 0.5 * theirs(flat, labels))
    torch.testing.assert_close(terms["ce"], F.cross_entropy(output.logits, TARGET))
    assert terms[name].ndim == 0
    (gradient,) = torch.autograd.grad(terms[name], [of(output)])
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_views_of_one_image_are_the_pairs_of_simclr() -> None:
    output = embedded()
    found = built(LOSSES["ntxent"], CONTEXT, pairs="image")(output, batch())["ntxent"]
    one, other = of(output).unbind(dim=1)
    theirs = losses.SelfSupervisedLoss(losses.NTXentLoss())(one, other)
    torch.testing.assert_close(found, theirs)


@pytest.mark.parametrize("miner", [m for m in zoo_metric_learning.MINERS if m != "none"])
@pytest.mark.parametrize("name", [name for name in PAIRS if survey.CHOSEN[name].mined])
def test_every_miner_fits_every_loss_that_offers_it(name: str, miner: str) -> None:
    output = embedded()
    found = built(LOSSES[name], CONTEXT, miner=miner)(output, batch())[name]
    assert found.isfinite()
    theirs = {
        "batch_easy_hard": miners.BatchEasyHardMiner,
        "batch_hard": miners.BatchHardMiner,
        "multi_similarity": miners.MultiSimilarityMiner,
        "pair_margin": miners.PairMarginMiner,
        "triplet_margin": miners.TripletMarginMiner,
    }[miner]()
    flat, labels = of(output).flatten(0, 1), TARGET.repeat_interleave(VIEWS)
    loss = getattr(losses, survey.CHOSEN[name].theirs)()
    torch.testing.assert_close(found, loss(flat, labels, theirs(flat, labels)))


@pytest.mark.parametrize("name", PAIRS)
def test_one_image_alone_has_no_pair_and_costs_nothing_but_its_cross_entropy(name: str) -> None:
    output = embedded(samples=1, views=1)
    terms = built(LOSSES[name], CONTEXT)(output, batch(TARGET[:1]))
    total = torch.stack(list(terms.values())).sum()
    torch.testing.assert_close(total, terms["ce"])
    (gradient,) = torch.autograd.grad(total, [output.logits])
    assert gradient.isfinite().all()


def test_weight_zero_leaves_cross_entropy_alone() -> None:
    assert list(built(LOSSES["supcon"], CONTEXT, weight=0.0)(embedded(), batch())) == ["ce"]


def test_what_a_loss_learns_itself_is_among_its_parameters() -> None:
    learns = built(LOSSES["margin"], CONTEXT, learn_beta=True)
    assert [tuple(one.shape) for one in learns.parameters()] == [()] or [
        one.numel() for one in learns.parameters()
    ] == [1]
    assert not list(built(LOSSES["margin"], CONTEXT).parameters())


# The head and the losses on its similarities


def test_the_heads_outputs_are_cosines_and_their_multiples() -> None:
    output = head(width=4, centers=3, scale=20.0)(features())
    assert output.embeddings.shape == (SAMPLES, VIEWS, 4)
    torch.testing.assert_close(output.embeddings.norm(dim=-1), torch.ones(SAMPLES, VIEWS))
    assert output.similarities.abs().max() <= 1 + 1e-6
    torch.testing.assert_close(output.view_logits, 20 * output.similarities)
    torch.testing.assert_close(output.logits, output.view_logits.mean(dim=1))


def test_the_length_of_features_does_not_matter_to_the_head() -> None:
    module = head()
    torch.testing.assert_close(module(features()).logits, module(7 * features()).logits)


def test_autocast_does_not_coarsen_the_similarities() -> None:
    module = head()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = module(features())
    assert found.similarities.dtype == torch.float32
    torch.testing.assert_close(found.logits, module(features()).logits)


@pytest.mark.parametrize("name", MARGINS)
def test_a_loss_on_similarities_is_the_librarys_with_the_heads_weights(name: str) -> None:
    module = head()
    output = module(features(1))
    found = built(LOSSES[name], CONTEXT)(output, batch())[name]
    theirs = getattr(losses, survey.CHOSEN[name].theirs)(num_classes=CLASSES, embedding_size=WIDTH)
    weights = module.get_parameter("centers").detach()[:, 0]
    with torch.no_grad():
        if hasattr(theirs, "W"):
            theirs.W.copy_(weights.T)
        else:
            theirs.proxies.copy_(weights)
    torch.testing.assert_close(found, theirs(output.embeddings[:, 0], TARGET))


def test_several_centers_are_those_of_sub_centre_arcface() -> None:
    module = head(centers=4)
    output = module(features(1))
    theirs = losses.SubCenterArcFaceLoss(num_classes=CLASSES, embedding_size=WIDTH, sub_centers=4)
    with torch.no_grad():
        theirs.W.copy_(module.get_parameter("centers").flatten(0, 1).T)
    found = built(LOSSES["arcface"], CONTEXT)(output, batch())["arcface"]
    torch.testing.assert_close(found, theirs(output.embeddings[:, 0], TARGET))


@pytest.mark.parametrize("name", MARGINS)
def test_a_loss_on_similarities_keeps_nothing_and_draws_nothing(name: str) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    loss = built(LOSSES[name], CONTEXT)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not list(loss.parameters())
    assert not loss.state_dict()


@pytest.mark.parametrize("name", [name for name in MARGINS if LOSSES[name].weighted])
def test_a_weight_of_two_counts_as_the_sample_twice(name: str) -> None:
    output = head()(features())
    loss = built(LOSSES[name], CONTEXT)
    weight = torch.tensor([2.0] + [1.0] * (SAMPLES - 1))
    places = [0, *range(SAMPLES)]
    doubled = replace(output, similarities=output.similarities[places])
    found = loss(output, batch(weight=weight))[name] * SAMPLES
    torch.testing.assert_close(found, loss(doubled, batch(TARGET[places]))[name] * (SAMPLES + 1))


def test_a_margin_makes_the_loss_larger() -> None:
    output = head()(features())
    plain, strict = (
        built(LOSSES["arcface"], CONTEXT, margin=margin)(output, batch())["arcface"]
        for margin in (0.0, 28.6)
    )
    assert strict > plain
    torch.testing.assert_close(
        plain, F.cross_entropy(64 * output.similarities.flatten(0, 1), TARGET.repeat_interleave(2))
    )


# For real


@pytest.mark.parametrize(
    "spec",
    [
        "contrastive:width=32+metric-learning/supcon:temperature=0.2",
        "metric-learning/cosine:width=32+metric-learning/arcface:margin=5",
    ],
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
