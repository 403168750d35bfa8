from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import UsageError
from zoo.phases import PhasePlan, decide, which
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from zoo.components import Value

sizes = st.integers(2, 1_000_000)


def settings(**given: Value) -> dict[str, Value | None]:
    named = {key.replace("__", "."): value for key, value in given.items()}
    return {name: option.default for name, option in SETTINGS.items()} | named


def decided(
    images: int = 1000, facts: dict[str, Any] | None = None, **given: Value
) -> tuple[PhasePlan, ...]:
    known: dict[str, Any] = {"accelerator": False, "pretrained": True, "has_val": True}
    return decide(settings(**given), images=images, layout="conv", **known | (facts or {}))


@pytest.mark.parametrize(
    ("train", "accelerator", "pretrained", "expected"),
    [
        ("auto", False, True, "probe"),
        ("auto", True, True, "lpft"),
        ("auto", False, False, "full"),
        ("auto", True, False, "full"),
        ("full", False, True, "full"),
        ("probe", True, False, "probe"),
    ],
)
def test_auto_goes_by_device_and_weights_and_says_why(
    *, train: str, accelerator: bool, pretrained: bool, expected: str
) -> None:
    mode, why = which(settings(train=train), accelerator=accelerator, pretrained=pretrained)
    assert mode == expected
    assert bool(why) == (train == "auto")


@given(
    images=sizes,
    train=st.sampled_from(["probe", "full", "lpft"]),
    pretrained=st.booleans(),
    has_val=st.booleans(),
)
def test_what_is_decided_is_within_its_bounds(
    *, images: int, train: str, pretrained: bool, has_val: bool
) -> None:
    facts = {"pretrained": pretrained, "has_val": has_val}
    for phase in decided(images, facts, train=train):
        steps = phase.epochs * phase.steps_per_epoch(images)
        low, high = (8, 256) if phase.name == "probe" else (4, 64)
        assert low <= phase.batch_size <= high
        assert phase.batch_size & (phase.batch_size - 1) == 0
        assert phase.epochs >= 1
        # Epochs are whole: half of one more or less, and never less than one.
        assert 400 <= steps <= 10_000 + phase.steps_per_epoch(images) + phase.epochs
        assert 0 < phase.lr <= phase.head_lr < 1
        assert phase.select == ("best" if phase.name == "full" and has_val else "last")
        assert phase.patience == 0


@given(sizes, sizes, st.sampled_from(["probe", "full"]))
def test_more_images_never_mean_smaller_batches(a: int, b: int, train: str) -> None:
    few, many = sorted((a, b))
    (small,), (large,) = decided(few, train=train), decided(many, train=train)
    assert small.batch_size <= large.batch_size
    assert small.freeze_bn >= large.freeze_bn


@given(st.integers(1, 5000), st.integers(1, 600))
def test_steps_per_epoch_are_what_the_batches_are(images: int, size: int) -> None:
    import numpy as np

    from zoo.training.order import batches

    phase = decided(images, train="probe", batch_size=size)[0]
    cut = batches(np.arange(images), size)
    assert phase.steps_per_epoch(images) == len(cut)
    assert sorted(np.concatenate(cut)) == [*range(images)]
    assert images == 1 or size == 1 or min(len(one) for one in cut) > 1


def test_a_setting_wins_and_leaves_no_reason() -> None:
    free, held = decided(train="full")[0], decided(train="full", lr=0.5, epochs=7)[0]
    assert (held.lr, held.epochs) == (0.5, 7)
    assert {"lr", "epochs"} <= set(free.reasons)
    assert not {"lr", "epochs"} & set(held.reasons)


def test_settings_of_the_probe_reach_the_probe_alone() -> None:
    probe, full = decided(
        train="lpft", probe__epochs=3, probe__lr=0.25, probe__batch_size=16, probe__weight_decay=0.5
    )
    assert (probe.epochs, probe.lr, probe.batch_size, probe.weight_decay) == (3, 0.25, 16, 0.5)
    untouched = decided(train="full")[0]
    assert full == PhasePlan.from_json({**untouched.to_json(), "reasons": full.reasons})


def test_settings_of_the_last_phase_leave_the_probe_before_it_alone() -> None:
    probe, full = decided(train="lpft", epochs=2, lr=0.125, select="last", patience=4)
    assert probe == decided(train="lpft")[0]
    assert (full.epochs, full.lr, full.select, full.patience) == (2, 0.125, "last", 4)


def test_a_probe_that_is_all_goes_by_either_name_the_plain_one_first() -> None:
    assert decided(train="probe", probe__epochs=3)[0].epochs == 3
    assert decided(train="probe", probe__epochs=3, epochs=4)[0].epochs == 4


def test_the_width_decides_a_probes_weight_decay_alone() -> None:
    narrow, wide = (decided(1000, {"features": width}, train="lpft") for width in (400, 1600))
    assert (narrow[0].weight_decay, wide[0].weight_decay) == (6.67, 13.33)
    assert narrow[1] == wide[1]
    assert narrow[0] == replace(wide[0], weight_decay=6.67)
    unknown = decided(1000, {"features": None}, train="probe")[0]
    assert unknown.weight_decay == decided(1000, {"features": 1280}, train="probe")[0].weight_decay


CONVEX = {"convex": True}


def test_a_convex_probe_is_solved_for_and_says_why() -> None:
    (found,) = decided(1000, {**CONVEX, "features": 1280}, train="probe")
    assert (found.optimizer, found.epochs, found.batch_size) == ("lbfgs", 1, 1000)
    assert found.weight_decay == 0.1
    assert {"optimizer", "weight_decay"} <= set(found.reasons)
    assert decided(1000, CONVEX, train="lpft")[0].optimizer == "lbfgs"


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": 3},
        {"probe__epochs": 3},
        {"lr": 0.1},
        {"batch_size": 8},
        {"select": "best"},
        {"patience": 2},
        {"balance": "sampler"},
        {"probe__sweep": "lr:0.1/1"},
        {"probe__solver": "epochs"},
    ],
)
def test_whoever_sets_what_only_epochs_have_gets_epochs(given: dict[str, Any]) -> None:
    (found,) = decided(1000, CONVEX, train="probe", **given)
    assert found.optimizer == "adamw"
    if "probe__solver" not in given:  # else they have said it themselves
        assert next(iter(given)).rpartition("__")[2] in found.reasons["solver"]
    assert "solver" not in decided(1000, None, train="probe", **given)[0].reasons


@pytest.mark.parametrize("how", ["auto", "lbfgs"])
@pytest.mark.parametrize("given", [{"select": "last"}, {"patience": 0}, {"weight_decay": 0.5}])
def test_what_a_solver_does_as_well_leaves_it_at_work(how: str, given: dict[str, Any]) -> None:
    (found,) = decided(1000, CONVEX, train="probe", probe__solver=how, **given)
    assert found.optimizer == "lbfgs"
    assert found.weight_decay == given.get("weight_decay", found.weight_decay)


def test_a_decay_that_means_another_thing_to_the_solver_is_told() -> None:
    assert "mean loss" in decided(9, CONVEX, train="probe", weight_decay=5)[0].reasons["solver"]
    assert "solver" not in decided(9, CONVEX, train="probe")[0].reasons
    full = decided(9, CONVEX, train="lpft", weight_decay=5)
    assert "solver" not in full[0].reasons


def test_very_many_images_are_trained_on_in_epochs() -> None:
    assert decided(100_000, CONVEX, train="probe")[0].optimizer == "lbfgs"
    (many,) = decided(100_001, CONVEX, train="probe")
    assert many.optimizer == "adamw"
    assert "because of more than 100,000 images" in many.reasons["solver"]


def test_a_solver_that_was_asked_for_takes_a_decay_and_refuses_what_epochs_have() -> None:
    asked: dict[str, Any] = {"train": "probe", "probe__solver": "lbfgs"}
    found = decided(1000, CONVEX, **asked, weight_decay=0.5)[0]
    assert (found.optimizer, found.weight_decay) == ("lbfgs", 0.5)
    with pytest.raises(UsageError) as caught:
        decided(1000, CONVEX, **asked, epochs=3, probe__lr=0.1, balance="sampler")
    assert "no use for epochs, probe.lr, balance=sampler." in caught.value.message
    assert "--set probe.solver=epochs" in caught.value.hint
    with pytest.raises(UsageError, match="no use for a sweep of lr"):
        decided(1000, CONVEX, **asked, probe__sweep="lr:0.1/1,weight_decay:1/2")


def test_settings_of_a_full_phase_leave_the_solver_before_it_alone() -> None:
    probe, full = decided(1000, CONVEX, train="lpft", epochs=2, lr=0.125)
    assert (probe.optimizer, full.epochs) == ("lbfgs", 2)


def test_patience_needs_a_validation_part() -> None:
    assert decided(train="full", patience=3)[0].patience == 3
    assert decided(1000, {"has_val": False}, train="full", patience=3)[0].patience == 0


@pytest.mark.parametrize("train", ["probe", "full", "lpft"])
def test_phases_survive_json(train: str) -> None:
    for phase in decided(train=train):
        assert PhasePlan.from_json(json.loads(json.dumps(phase.to_json()))) == phase


@pytest.mark.parametrize(("epochs", "batch"), [(None, 128), (100, 128), (25, 64), (10, 32), (1, 8)])
def test_a_probe_of_few_epochs_takes_smaller_steps(epochs: int | None, batch: int) -> None:
    (probe,) = decided(1000, None, train="probe", epochs=epochs or "auto")
    assert probe.batch_size == batch
