"""Both heads: what they promise to any backbone, loss and device."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest
import torch
import zoo_heads
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import zoo
from zoo.components import component_from_json, to_json

FEATURES, CLASSES, VIEWS = 6, 3, 2
COMPONENTS = {component.name: component for component in zoo_heads.zoo_heads()}
HEADS = sorted(COMPONENTS)


def build(name: str, **options: float) -> nn.Module:
    module, _, attribute = COMPONENTS[name].target.partition(":")
    context = zoo.HeadContext(features=FEATURES, classes=CLASSES, views=VIEWS)
    head = getattr(import_module(module), attribute)(context, **options)
    assert isinstance(head, nn.Module)
    return head


def filled(head: nn.Module) -> nn.Module:
    """The same head away from its zero start, where every output would be alike."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return head


def features(samples: int = 4, views: int = VIEWS) -> torch.Tensor:
    return torch.randn(samples, views, FEATURES, generator=torch.Generator().manual_seed(1))


def test_the_plugin_is_listed_without_torch() -> None:
    code = "import sys, zoo_heads; list(zoo_heads.zoo_heads()); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", HEADS)
def test_a_description_survives_json(name: str) -> None:
    component = COMPONENTS[name]
    assert component_from_json(json.loads(json.dumps(to_json(component)))) == component


@pytest.mark.parametrize("name", HEADS)
def test_the_target_takes_exactly_the_declared_options_with_their_defaults(name: str) -> None:
    defaults = {key: option.default for key, option in COMPONENTS[name].options.items()}
    module, _, attribute = COMPONENTS[name].target.partition(":")
    assert getattr(import_module(module), attribute).__kwdefaults__ == defaults


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("views", [1, 2, 3])
@pytest.mark.parametrize("samples", [1, 4])
def test_declared_ports_have_the_shapes_of_the_contract(
    name: str, views: int, samples: int
) -> None:
    output = build(name).train()(features(samples, views))
    assert output.logits.shape == (samples, CLASSES)
    assert output.view_logits.shape == (samples, views, CLASSES)
    given_ports = {"logits", "view_logits"}
    if output.embeddings is not None:
        assert output.embeddings.shape == (samples, views, 128)
        given_ports.add("embeddings")
    assert set(COMPONENTS[name].provides) == given_ports


@pytest.mark.parametrize("name", HEADS)
def test_a_head_starts_undecided(name: str) -> None:
    output = build(name)(features())
    assert not output.logits.any()
    assert not output.view_logits.any()


@pytest.mark.parametrize("name", HEADS)
def test_shapes_are_known_on_the_meta_device(name: str) -> None:
    with torch.device("meta"):
        output = build(name)(torch.empty(2, VIEWS, FEATURES))
    assert output.logits.shape == (2, CLASSES)
    assert output.logits.is_meta


@pytest.mark.parametrize("name", HEADS)
def test_bf16_autocast_stays_near_float32(name: str) -> None:
    head = filled(build(name))
    exact = head(features())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = head(features())
    assert rough.logits.dtype == torch.bfloat16
    scale = exact.logits.abs().max().item()
    torch.testing.assert_close(rough.logits.float(), exact.logits, rtol=0, atol=0.03 * scale)


@pytest.mark.parametrize("name", HEADS)
def test_exchanging_the_views_changes_no_logits(name: str) -> None:
    head = filled(build(name))
    there, back = head(features()), head(features().flip(1))
    torch.testing.assert_close(there.logits, back.logits)
    torch.testing.assert_close(there.view_logits, back.view_logits.flip(1))


@pytest.mark.parametrize("name", HEADS)
def test_one_view_counts_as_two_equal_ones(name: str) -> None:
    head = filled(build(name)).eval()
    one = features(views=1)
    torch.testing.assert_close(head(one).logits, head(one.expand(-1, 2, -1)).logits)


@given(order=st.permutations(list(range(4))))
def test_samples_do_not_know_each_other(order: list[int]) -> None:
    for name in HEADS:
        head = filled(build(name)).train()
        whole, shuffled = head(features()).logits, head(features()[order]).logits
        torch.testing.assert_close(shuffled, whole[order])


@pytest.mark.parametrize("name", HEADS)
def test_dropout_is_off_in_evaluation_and_on_in_training(name: str) -> None:
    torch.manual_seed(0)
    head = filled(build(name, dropout=0.5))
    assert torch.equal(head.eval()(features()).logits, head(features()).logits)
    assert not torch.equal(head.train()(features()).logits, head(features()).logits)


@pytest.mark.parametrize("name", HEADS)
def test_the_seed_decides_the_start(name: str) -> None:
    starts = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        starts.append(torch.cat([part.flatten() for part in build(name).parameters()]))
    assert torch.equal(starts[0], starts[1])
    # The linear head draws nothing that lasts: it starts at zero under every seed.
    assert torch.equal(starts[0], starts[2]) == (name == "linear")


@pytest.mark.parametrize("name", HEADS)
def test_a_state_dict_restores_the_head(name: str) -> None:
    head, other = filled(build(name)), build(name)
    other.load_state_dict(head.state_dict())
    assert torch.equal(head(features()).logits, other(features()).logits)


def test_linear_gives_the_mean_over_views_and_one_view_as_it_is() -> None:
    head = filled(build("linear"))
    two, one = head(features()), head(features(views=1))
    assert torch.equal(two.logits, two.view_logits.mean(dim=1))
    assert torch.equal(one.logits, one.view_logits[:, 0])


@pytest.mark.parametrize("views", [2, 3])
def test_contrastive_averages_the_joint_classifier_over_all_orders(views: int) -> None:
    head = filled(build("contrastive", width=5))
    output = head(features(views=views))
    pairs = [
        head.get_submodule("joint_classifier")(
            torch.cat([output.embeddings[:, first], output.embeddings[:, second]], dim=-1)
        )
        for first in range(views)
        for second in range(views)
        if first != second
    ]
    torch.testing.assert_close(output.logits, torch.stack(pairs).mean(0), rtol=1e-4, atol=1e-4)


def test_contrastive_options_set_the_widths_of_the_projection() -> None:
    head = build("contrastive", hidden=7, width=5, layers=3)
    shapes = [tuple(part.shape) for part in head.parameters() if part.ndim == 2]
    assert shapes == [(7, FEATURES), (7, 7), (5, 7), (CLASSES, 5), (CLASSES, 10)]
    assert build("contrastive")(features()).embeddings.shape[-1] == 128


def test_contrastive_is_not_linear_in_the_features() -> None:
    head = filled(build("contrastive"))
    offset = head(torch.zeros(4, VIEWS, FEATURES)).logits
    there, back = head(features()).logits - offset, head(-features()).logits - offset
    assert (there + back).abs().max() > 0.1 * there.abs().max()
