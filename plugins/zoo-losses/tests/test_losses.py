"""Both losses: the identities that tie their terms together, and what they promise the engine."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib import import_module

import pytest
import torch
import zoo_losses
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it
from zoo_losses.cekl import kl, smoothed

import zoo
from zoo.components import Component, Value, at, component_from_json, to_json

COMPONENTS = {component.name: component for component in zoo_losses.zoo_losses()}
CEKL = COMPONENTS["cekl"]
TARGETS = [str(target) for target in CEKL.options["target"].choices]
COUNTS = (5, 3, 2)
CLASSES = len(COUNTS)
LOG_CLASSES = math.log(CLASSES)
FREQUENCIES = torch.tensor(COUNTS) / sum(COUNTS)
seeds = st.integers(0, 2**31)
scales = st.sampled_from([0.0, 0.1, 1.0, 10.0, 100.0])
epsilons = st.floats(0, 0.99)


def loss(component: Component, **options: Value) -> nn.Module:
    module, _, attribute = component.target.partition(":")
    context = zoo.LossContext(classes=CLASSES, class_counts=COUNTS, embedding=0, steps=10)
    built = getattr(import_module(module), attribute)(context, **options)
    assert isinstance(built, nn.Module)
    return built


@dataclass(frozen=True)
class Case:
    """A batch: logits `[N, C]`, those of two views `[N, 2, C]`, labels, a teacher's logits."""

    logits: Tensor
    views: Tensor
    target: Tensor
    teacher: Tensor
    weight: Tensor | None = None

    def rows(self, places: list[int]) -> Case:
        return Case(
            self.logits[places], self.views[places], self.target[places], self.teacher[places]
        )

    def ce(self, **options: Value) -> Tensor:
        return self._terms(COMPONENTS["ce"], **options)["ce"]

    def cekl(self, target: str = "smooth", **options: Value) -> dict[str, Tensor]:
        return self._terms(CEKL, target=target, **options)

    def _terms(self, component: Component, **options: Value) -> dict[str, Tensor]:
        needs = at(component.needs, options)
        extras = {"teacher_logits": self.teacher} if "teacher_logits" in needs else {}
        batch = zoo.Batch(
            self.target, torch.arange(len(self.target)), 0, weight=self.weight, extras=extras
        )
        return dict(loss(component, **options)(zoo.HeadOutput(self.logits, self.views), batch))


def case(seed: int = 0, scale: float = 1.0, samples: int = 5) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return (scale * torch.randn(shape, generator=generator)).requires_grad_()

    target = torch.randint(CLASSES, (samples,), generator=generator)
    return Case(
        normal(samples, CLASSES),
        normal(samples, 2, CLASSES),
        target,
        normal(samples, CLASSES).detach(),
    )


def entropy(p: Tensor) -> Tensor:
    return -torch.special.xlogy(p, p).sum(-1)


def gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def near(one: Tensor | float, other: Tensor | float) -> bool:
    pair = (float(torch.as_tensor(value).detach()) for value in (one, other))
    return math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-6)


# What the plugin says of itself


def test_the_plugin_is_listed_without_torch() -> None:
    code = "import sys, zoo_losses as z; list(z.zoo_losses()); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_description_survives_json(name: str) -> None:
    component = COMPONENTS[name]
    assert component_from_json(json.loads(json.dumps(to_json(component)))) == component


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_target_takes_exactly_the_declared_options_with_their_defaults(name: str) -> None:
    defaults = {key: option.default for key, option in COMPONENTS[name].options.items()}
    module, _, attribute = COMPONENTS[name].target.partition(":")
    assert getattr(import_module(module), attribute).__kwdefaults__ == defaults


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_loss_has_nothing_to_optimise_or_to_store(name: str) -> None:
    built = loss(COMPONENTS[name], **({"target": "prior"} if name == "cekl" else {}))
    assert not list(built.parameters())
    assert not built.state_dict()


# Identities


@given(seeds, scales)
def test_onehot_is_cross_entropy_twice(seed: int, scale: float) -> None:
    batch = case(seed, scale)
    terms = batch.cekl("onehot")
    assert near(terms["ce"], F.cross_entropy(batch.views[:, 0], batch.target))
    assert near(terms["kl"], F.cross_entropy(batch.logits, batch.target))


@given(seeds, scales, epsilons)
def test_smoothing_is_a_divergence_and_its_floor(seed: int, scale: float, epsilon: float) -> None:
    batch = case(seed, scale)
    floor = entropy(smoothed(batch.target, CLASSES, epsilon)).mean()
    divergence = batch.cekl("smooth", epsilon=epsilon)["kl"]
    assert near(batch.ce(label_smoothing=epsilon), divergence + floor)


@given(seeds, scales, epsilons)
def test_smoothing_is_cross_entropy_and_a_pull_to_uniform(
    seed: int, scale: float, epsilon: float
) -> None:
    batch = case(seed, scale)
    uniform = torch.full((CLASSES,), 1 / CLASSES)
    pull = kl(uniform, batch.logits.log_softmax(-1)).mean() + LOG_CLASSES
    expected = (1 - epsilon) * batch.ce() + epsilon * pull
    assert near(batch.ce(label_smoothing=epsilon), expected)


@pytest.mark.parametrize("target", TARGETS)
def test_an_undecided_head_costs_what_the_formula_says(target: str) -> None:
    batch = case(scale=0.0)
    terms = batch.cekl(target)
    divergence: dict[str, float] = {
        "smooth": LOG_CLASSES - float(entropy(smoothed(batch.target, CLASSES, 0.1)[0])),
        "onehot": LOG_CLASSES,
        "view": 0.0,
        "teacher": 0.0,
        "prior": LOG_CLASSES - float(entropy(FREQUENCIES)),
    }
    assert near(terms.pop("kl"), divergence[target])
    assert all(near(value, LOG_CLASSES) for value in terms.values())
    assert near(batch.ce(), LOG_CLASSES)


def test_a_student_equal_to_its_teacher_costs_nothing() -> None:
    batch = case(scale=5.0)
    assert near(replace(batch, teacher=batch.logits.detach()).cekl("teacher")["kl"], 0.0)


@given(seeds, st.floats(0.5, 20))
def test_the_teacher_term_is_t_squared_times_the_softened_divergence(seed: int, t: float) -> None:
    batch = case(seed)
    # Logits T times as large undo the temperature, so that only its factor T² is left.
    scaled = replace(batch, logits=batch.logits * t, teacher=batch.teacher * t)
    hot, cool = scaled.cekl("teacher", temperature=t), batch.cekl("teacher", temperature=1.0)
    assert hot["kl"].item() == pytest.approx(t**2 * cool["kl"].item(), rel=1e-4, abs=1e-4)


def test_the_prior_term_is_zero_where_the_mean_prediction_has_the_class_frequencies() -> None:
    batch = case()
    # Away from the frequencies sample by sample, but not on the whole.
    shift = torch.tensor([[0.1], [-0.1], [0.15], [-0.15], [0.0]]) * torch.tensor([1.0, -1.0, 0.0])
    matching = replace(batch, logits=(FREQUENCIES + shift).log())
    assert near(matching.cekl("prior")["kl"], 0.0)
    assert batch.cekl("prior")["kl"] > 1e-3


def test_the_prior_term_stays_finite_where_a_class_is_never_predicted() -> None:
    never = torch.tensor([500.0, 0.0, -500.0]).expand(5, 3)
    assert torch.isfinite(replace(case(), logits=never).cekl("prior")["kl"])


@pytest.mark.parametrize("target", TARGETS)
@given(seed=seeds, scale=scales)
def test_no_divergence_is_negative_or_infinite(target: str, seed: int, scale: float) -> None:
    assert -1e-5 < case(seed, scale).cekl(target)["kl"].item() < math.inf


# Gradients


def test_the_view_divergence_moves_the_second_view_alone() -> None:
    batch = case()
    batch.cekl("view")["kl"].backward()
    assert batch.logits.grad is None
    assert not gradient(batch.views)[:, 0].any()
    assert gradient(batch.views)[:, 1].any()


def test_the_teacher_divergence_moves_the_second_output_alone() -> None:
    batch = case()
    batch.cekl("teacher")["kl"].backward()
    assert gradient(batch.logits).any()
    assert batch.views.grad is None


@pytest.mark.parametrize(("target", "epsilon"), [("smooth", 0.1), ("onehot", 0.0)])
def test_the_gradient_of_the_second_output_is_q_minus_p(target: str, epsilon: float) -> None:
    batch = case()
    batch.cekl(target)["kl"].backward()
    q = batch.logits.detach().softmax(-1)
    expected = (q - smoothed(batch.target, CLASSES, epsilon)) / len(q)
    torch.testing.assert_close(gradient(batch.logits), expected, rtol=0, atol=1e-6)


def test_without_a_divergence_the_second_output_is_left_alone() -> None:
    batch = case()
    terms = batch.cekl("smooth", kl_weight=0.0)
    assert set(terms) == {"ce"}
    terms["ce"].backward()
    assert batch.logits.grad is None


# What a batch may hold


@pytest.mark.parametrize("target", TARGETS)
@given(order=st.permutations(list(range(5))))
def test_the_order_of_samples_does_not_matter(target: str, order: list[int]) -> None:
    batch = case()
    there, back = batch.cekl(target), batch.rows(order).cekl(target)
    assert there.keys() == back.keys()
    assert all(near(there[name], back[name]) for name in there)


@pytest.mark.parametrize("target", TARGETS)
def test_only_prior_couples_the_samples_of_a_batch(target: str) -> None:
    batch = case(samples=4)
    halves = [batch.rows(part).cekl(target)["kl"] for part in ([0, 1], [2, 3])]
    coupled = not near(batch.cekl(target)["kl"], sum(halves) / 2)
    assert coupled == at(CEKL.batch_coupled, {"target": target})


@pytest.mark.parametrize("target", TARGETS)
def test_weights_multiply_each_samples_part(target: str) -> None:
    batch = case(samples=2)
    first, second = (batch.rows([place]).cekl(target) for place in (0, 1))
    weighted = replace(batch, weight=torch.tensor([1.5, 0.5])).cekl(target)
    if target == "prior":  # judges the batch as it was drawn
        assert near(weighted.pop("kl"), batch.cekl(target)["kl"])
    for name, value in weighted.items():
        assert near(value, (1.5 * first[name] + 0.5 * second[name]) / 2)


def test_weights_multiply_each_samples_cross_entropy() -> None:
    batch = case(samples=2)
    expected = (1.5 * batch.rows([0]).ce() + 0.5 * batch.rows([1]).ce()) / 2
    assert near(replace(batch, weight=torch.tensor([1.5, 0.5])).ce(), expected)


@pytest.mark.parametrize("target", TARGETS)
def test_indices_and_their_one_hot_distributions_are_the_same_target(target: str) -> None:
    hard = case()
    soft = replace(hard, target=F.one_hot(hard.target, CLASSES).double())
    assert near(soft.ce(), hard.ce())
    hard_terms, soft_terms = hard.cekl(target), soft.cekl(target)
    assert all(near(hard_terms[name], soft_terms[name]) for name in hard_terms)


def test_a_distribution_as_label_keeps_its_own_entropy_out_of_the_divergence() -> None:
    p = torch.tensor([0.5, 0.3, 0.2])
    batch = replace(case(), target=p.expand(5, 3))
    assert near(batch.cekl("onehot")["kl"] + entropy(p), batch.ce())


@pytest.mark.parametrize("target", TARGETS)
def test_bf16_outputs_are_summed_up_in_float32(target: str) -> None:
    batch = case()
    rough = replace(batch, logits=batch.logits.bfloat16(), views=batch.views.bfloat16())
    widened = replace(batch, logits=rough.logits.float(), views=rough.views.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        here = rough.cekl(target)
    there = widened.cekl(target)
    assert all(here[name].dtype == torch.float32 for name in here)
    assert all(near(here[name], there[name]) for name in here)


@pytest.mark.parametrize("target", TARGETS)
def test_a_batch_of_one_is_enough(target: str) -> None:
    terms = case(samples=1).cekl(target)
    assert all(value.shape == () and torch.isfinite(value) for value in terms.values())


@pytest.mark.parametrize("target", TARGETS)
def test_kl_weight_scales_the_divergence_and_nothing_else(target: str) -> None:
    plain, scaled = case().cekl(target), case().cekl(target, kl_weight=2.5)
    assert all(
        near(value, plain[name] * (2.5 if name == "kl" else 1)) for name, value in scaled.items()
    )


@pytest.mark.parametrize("target", TARGETS)
def test_terms_are_known_on_the_meta_device(target: str) -> None:
    with torch.device("meta"):
        empty = torch.empty(2, CLASSES)
        labels = torch.empty(2, dtype=torch.int64)
        terms = Case(empty, torch.empty(2, 2, CLASSES), labels, empty).cekl(target)
    assert all(value.is_meta for value in terms.values())
