from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from zoo.errors import (
    BadData,
    InputMissing,
    Mismatch,
    SpecError,
    Unavailable,
    UnknownName,
    UsageError,
)
from zoo.plan import DataCounts, Plan, canonical, plan_from_json, plan_to_json
from zoo.registry import Entry, Registry
from zoo.registry_file import Placed
from zoo.resolve import resolve, settle
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from zoo.components import Value
    from zoo.index import Catalog

Make = Any  # a fixture that makes a plan


def book(
    spec: str = "tiny/net+linear+ce", defaults: Mapping[str, Any] | None = None, **settings: Value
) -> Registry:
    placed = {key.replace("__", "."): Placed(one, "r.toml:5") for key, one in settings.items()}
    return Registry(
        {key: Placed(one, "r.toml:2") for key, one in (defaults or {}).items()},
        {"mine": Entry("mine", spec, "", placed, "r.toml:4")},
    )


def test_the_command_line_beats_the_entry_which_beats_the_defaults(planned: Make) -> None:
    layers = book(defaults={"seed": 1, "clip": 2.0, "warmup": 0.25}, seed=5, clip=3.0)
    plan = planned("mine", book=layers, seed="9")
    assert (plan["seed"], plan["clip"], plan["warmup"], plan["momentum"]) == (9, 3.0, 0.25, 0.9)
    assert plan.origins["seed"] == "command line"
    assert plan.origins["clip"] == "r.toml:5"
    assert plan.origins["warmup"] == "r.toml:2"
    assert "momentum" not in plan.origins
    assert plan.entry == "mine"


def test_the_command_line_beats_the_entry_whose_options_beat_its_spec(planned: Make) -> None:
    spec = "tiny/net+linear:dropout=0.2+ce:label_smoothing=0.3"
    plan = planned("mine", book=book(spec, loss__label_smoothing=0.1), head__dropout="0.5")
    assert plan.head.options["dropout"] == 0.5
    assert plan.loss.options["label_smoothing"] == 0.1
    assert plan.origins["head.dropout"] == "command line"
    assert plan.origins["loss.label_smoothing"] == "r.toml:5"
    assert planned(spec, head__dropout="0.5").head.options["dropout"] == 0.5


def test_every_problem_is_said_at_once_with_a_near_name(planned: Make) -> None:
    with pytest.raises(UsageError) as caught:
        planned(
            "tiny/net+linear:dropot=1+ce:label_smoothing=2",
            epoch=3,
            lr="fast",
            head__width=1,
            head__dropot=1,
            dropout=1,
            train="prob",
        )
    words = caught.value.message
    assert words.startswith("8 problems:")
    for expected in (
        "epoch is not known (did you mean 'epochs'?)",
        "lr wants a number from 0 to 100, not 'fast'",
        "train wants one of auto, probe, full, lpft, not 'prob'",
        "head linear: dropot is not known (did you mean 'dropout'?)",
        "loss ce: label_smoothing wants",
        "head.width is not known",
        "head.dropot is not known (did you mean 'head.dropout'?)",
        "  dropout is not known (did you mean 'head.dropout'?)",
    ):
        assert expected in words


def test_a_problem_in_a_file_names_its_line(planned: Make) -> None:
    with pytest.raises(UsageError, match=r"r\.toml:5: head\.nope is not known"):
        planned("mine", book=book(head__nope=1))


@pytest.mark.parametrize(
    ("request_", "error", "words"),
    [
        ("tiny/nat+linear+ce", UnknownName, "tiny/net"),
        ("tiny/net+liner+ce", UnknownName, "linear"),
        ("net+linear+ce", UnknownName, "tiny/net"),
        ("tiny/net+cekl+ce", UnknownName, "loss"),
        ("tiny/net+linear", SpecError, "2 of the three"),
        ("mein", UnknownName, "mine"),
        ("tiny/net", UnknownName, "tiny/net is a backbone, one of the three parts"),
        ("tiny/net", UnknownName, "tiny/net+linear+cekl"),
        ("cekl", UnknownName, "resnet18+linear+cekl"),
    ],
)
def test_a_name_that_is_not_there_says_what_is(
    planned: Make, request_: str, error: type[UsageError], words: str
) -> None:
    with pytest.raises(error) as caught:
        planned(request_, book=book())
    assert words in str(caught.value)


def test_the_canonical_spec_is_qualified_and_tells_what_differs(planned: Make) -> None:
    plan = planned("tiny/net+linear:dropout=0.5+cekl:kl_weight=1,target=view", weights="none")
    assert plan.spec == "tiny/net+heads/linear:dropout=0.5+losses/cekl:target=view"


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dropout=st.floats(0, 0.9),
    kl_weight=st.floats(0, 1e6),
    target=st.sampled_from(["smooth", "onehot", "view", "prior"]),
    width=st.integers(1, 10**6),
    tag=st.sampled_from(["", "v1", "v2"]),
)
def test_a_canonical_spec_means_the_same_plan(
    planned: Make,
    tag: str,
    width: int,
    **options: Any,  # noqa: ANN401 - drawn values
) -> None:
    head, loss = {"dropout": options.pop("dropout")}, options
    given = {f"head.{key}": one for key, one in head.items()}
    given |= {f"loss.{key}": one for key, one in loss.items()} | {"backbone.width": width}
    plan = planned(f"tiny/net{'.' if tag else ''}{tag}+linear+cekl", **given)
    again = planned(plan.spec)
    assert again.spec == plan.spec == canonical(again)
    assert [one.options for one in again.trio] == [one.options for one in plan.trio]
    assert again.preprocess == plan.preprocess


def test_an_image_size_reaches_the_preprocessing_and_the_backbone(planned: Make) -> None:
    plan = planned(image_size=64)
    assert (plan.preprocess.size, plan.preprocess.resize) == ((64, 64), (72, 72))
    assert plan.backbone.options["img_size"] == 64
    assert planned().backbone.options["img_size"] is None


def test_a_tag_brings_its_own_preprocessing(planned: Make) -> None:
    assert planned().preprocess.size == (32, 32)
    assert planned("tiny/net.v2+linear+ce").preprocess.size == (48, 48)


def test_views_are_what_the_hungriest_part_wants(planned: Make) -> None:
    assert planned("tiny/net+linear+cekl").views == 1
    assert planned("tiny/net+linear+cekl:target=view").views == 2
    assert planned("tiny/net+contrastive+ce").views == 2


@pytest.mark.parametrize(
    ("spec", "settings", "kept"),
    [
        ("tiny/net+linear+ce", {}, 1),
        ("tiny/net+contrastive+ce", {}, 8),
        ("tiny/net+contrastive+ce", {"views.cached": 1}, 2),
        ("tiny/net+contrastive+ce", {"augment": "off"}, 1),
    ],
)
def test_how_many_views_a_probe_keeps(
    planned: Make, spec: str, settings: dict[str, Any], kept: int
) -> None:
    assert planned(spec, **settings).kept_views == kept


# weights


def test_default_weights_are_the_default_tags(make_catalog: Callable[..., Catalog]) -> None:
    plan = resolve("tiny/net+linear+ce", {}, catalog=make_catalog(), book=Registry())
    assert (plan.weights.mode, plan.weights.tag) == ("tag", "v1")
    assert plan.weights.source == "package:no_such_package/net.safetensors"
    assert plan.spec.startswith("tiny/net.v1+")


@pytest.mark.parametrize("weights", [(), "no source"])
def test_no_weights_that_could_be_fetched(
    make_catalog: Callable[..., Catalog], weights: object
) -> None:
    spec = "tiny/net.v2+linear+ce" if weights else "tiny/net+linear+ce"
    catalog = make_catalog() if weights else make_catalog(weights=())
    with pytest.raises(Unavailable, match="no pretrained weights") as caught:
        resolve(spec, {}, catalog=catalog, book=Registry())
    assert caught.value.exit_code == 69
    assert "--weights none" in caught.value.hint


def test_a_weights_file_is_kept_by_its_full_path(
    planned: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    plan = planned(weights="net.safetensors")
    assert (plan.weights.mode, plan.weights.file) == ("file", str(tmp_path / "net.safetensors"))


def test_a_weights_file_that_is_not_there(planned: Make) -> None:
    with pytest.raises(InputMissing, match="--weights nowhere") as caught:
        planned(weights="nowhere.pth")
    assert caught.value.exit_code == 66


def test_an_unknown_tag_lists_those_there_are(planned: Make) -> None:
    with pytest.raises(UnknownName) as caught:
        planned("tiny/net.v3+linear+ce")
    assert "v1" in str(caught.value)


# the teacher


def test_a_loss_with_a_teacher_needs_one_and_another_refuses_it(planned: Make) -> None:
    with pytest.raises(UsageError, match="needs a teacher"):
        planned("tiny/net+linear+cekl:target=teacher")
    with pytest.raises(UsageError, match="takes no teacher"):
        planned("tiny/net+linear+cekl", loss__teacher="runs/x")
    plan = planned("tiny/net+linear+cekl:target=teacher", loss__teacher="runs/x")
    assert plan.extras == ("teacher_logits",)
    assert plan.teacher.endswith("/runs/x")
    assert "teacher" not in plan.loss.options


# settling


def test_a_class_without_a_training_image_is_named(planned: Make) -> None:
    with pytest.raises(BadData, match="No training image is left of: bee"):
        planned(counts=DataCounts(("ant", "bee"), (3, 0), 1, 0))


def test_settling_knows_phases_counts_and_device(planned: Make) -> None:
    plan = planned(accelerator=True)
    assert [phase.name for phase in plan.phases] == ["full"]  # random weights
    assert (plan.counts.images, plan.counts.imbalance) == (12, 1.0)
    assert plan.device == {"name": "cpu"}


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.data())
def test_a_plan_survives_json(planned: Make, data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(["lr", "clip", "warmup", "momentum"])))
    given: dict[str, Any] = {name: data.draw(st.floats(0, 0.4)) for name in names}
    given["train"] = data.draw(st.sampled_from(["probe", "full", "lpft"]))
    given["seed"] = data.draw(st.integers(0, 2**32 - 1))
    given["head.dropout"] = data.draw(st.floats(0, 0.9))
    plan: Plan = planned(
        data.draw(st.sampled_from(["tiny/net+linear+ce", "tiny/net.v2+contrastive+cekl"])), **given
    )
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_every_setting_stands_in_the_plan_with_its_origin(planned: Make) -> None:
    record = plan_to_json(planned(seed=3))
    assert set(record["settings"]) == set(SETTINGS)
    assert record["settings"]["seed"] == {"value": 3, "origin": "command line"}
    assert record["settings"]["clip"] == {"value": 1.0, "origin": "default"}
    assert record["loss"]["plugin"] == "zoo-losses"


@pytest.mark.parametrize(
    "damage", [{"schema": 2}, {"schema": None}, {"settings": None}, {"head": {}}, {"phases": [{}]}]
)
def test_a_damaged_plan_is_a_mismatch(planned: Make, damage: dict[str, Any]) -> None:
    with pytest.raises(Mismatch):
        plan_from_json({**plan_to_json(planned()), **damage})


def test_a_plan_without_counts_is_one_too(planned: Make) -> None:
    plan = replace(planned(), counts=None, phases=(), device={})
    assert plan_from_json(plan_to_json(plan)) == plan


def test_weights_for_a_loss_that_takes_none_are_refused(
    make_catalog: Callable[..., Catalog],
) -> None:
    plan = resolve(
        "tiny/net+linear+ce",
        {"balance": "weights", "weights": "none"},
        catalog=make_catalog(),
        book=Registry(),
    )
    deaf = replace(plan.loss, component=replace(plan.loss.component, weighted=False))
    counts = DataCounts(("a", "b"), (3, 3), 1, 0)
    with pytest.raises(UsageError, match="does not weigh samples"):
        settle(replace(plan, loss=deaf), counts, {}, accelerator=False)
    assert settle(plan, counts, {}, accelerator=False).phases


@pytest.mark.parametrize(
    ("solver", "width", "decay"),
    [
        ("epochs", 8, 0.94),
        ("epochs", 768, 9.24),
        ("epochs", 2048, 15.08),
        ("lbfgs", 768, 0.06),
        ("lbfgs", 2048, 0.16),
    ],
)
def test_a_probes_weight_decay_goes_by_the_backbones_width(
    planned: Make, solver: str, width: int, decay: float
) -> None:
    plan = planned(train="probe", probe__solver=solver)
    facts = replace(plan.backbone.component.facts, features=width)
    component = replace(plan.backbone.component, facts=facts)
    wider = replace(plan, backbone=replace(plan.backbone, component=component))
    assert settle(wider, plan.counts, {}, accelerator=False).phases[0].weight_decay == decay


@pytest.mark.parametrize(
    ("spec", "optimizer"),
    [
        ("tiny/net+linear+ce", "lbfgs"),
        ("tiny/net+linear+ce:label_smoothing=0.1", "lbfgs"),
        ("tiny/net+linear+cekl", "lbfgs"),
        ("tiny/net+linear:dropout=0.1+ce", "adamw"),
        ("tiny/net+linear+cekl:target=view", "adamw"),
        ("tiny/net+linear+cekl:target=prior", "adamw"),
        ("tiny/net+contrastive+ce", "adamw"),
    ],
)
def test_a_probe_is_solved_for_where_its_parts_say_that_it_is_convex(
    planned: Make, spec: str, optimizer: str
) -> None:
    assert planned(spec, train="probe").phases[0].optimizer == optimizer
    assert planned(spec, train="lpft").phases[0].optimizer == optimizer
    assert planned(spec, train="probe", epochs=3).phases[0].optimizer == "adamw"
    if optimizer == "adamw":
        with pytest.raises(UsageError, match="not known to be a convex problem") as caught:
            planned(spec, probe__solver="lbfgs")
        assert "Leave probe.solver out" in caught.value.hint


def test_a_sweeps_problems_are_told_with_all_others(planned: Make) -> None:
    with pytest.raises(UsageError) as caught:
        planned(probe__sweep="rate:1,lr:x", epochs="many")
    assert "3 problems" in caught.value.message
    assert "'rate:1' is not NAME:VALUES" in caught.value.message
