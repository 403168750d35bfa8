"""A setting that is given is heard, or the plan says that it is not: never neither, never both.

Every setting is given to runs of every kind. What it changes is looked for in the plan's work and,
where that is the same, in the finished model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from zoo import draft, idle
from zoo.errors import UsageError
from zoo.plan import plan_to_json
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.corridor import Run
    from zoo.draft import Draft

ONE, TWO, CONVEX = "linear:dropout=0.5+ce", "contrastive+cekl", "linear+ce"


@dataclass(frozen=True)
class Kind:
    """A kind of run.

    Args:
        spec: head and loss.
        settings: of the run.
        agrees: settings whose tried value is what happens in such a run anyway.
        counts: images of each class.
        split: whether the data has a validation part of its own.
    """

    spec: str
    settings: dict[str, object]
    agrees: frozenset[str] = frozenset()
    counts: tuple[int, ...] = (5, 6)
    split: bool = False


STEPS: dict[str, object] = {"train": "probe", "epochs": 2, "batch_size": 2}
WHOLE: dict[str, object] = {"train": "full", "epochs": 2, "batch_size": 2, "freeze_bn": "on"}
KINDS = {
    "probe in epochs": Kind(ONE, STEPS, frozenset({"augment"})),
    "probe in epochs, by the better epoch": Kind(
        ONE, {**STEPS, "select": "best"}, frozenset({"augment", "select"})
    ),
    "probe of two views": Kind(TWO, {"train": "probe", "probe.epochs": 2, "probe.batch_size": 2}),
    "probe without augmentation": Kind(TWO, {**STEPS, "augment": "off"}, frozenset({"augment"})),
    "probe that is solved for": Kind(
        CONVEX, {"train": "probe"}, frozenset({"augment", "probe.solver"})
    ),
    "probe that is swept": Kind(
        ONE, {**STEPS, "probe.sweep": "lr:0.1,weight_decay:1/2"}, frozenset({"augment"}), (8, 8)
    ),
    "probe on a split of one's own": Kind(ONE, STEPS, frozenset({"augment"}), split=True),
    "probe without validation": Kind(
        ONE, {**STEPS, "batch_size": 1}, frozenset({"augment"}), (2, 1)
    ),
    "full": Kind(ONE, WHOLE, frozenset({"select"})),
    "full by sgd, the last epoch": Kind(
        ONE, {**WHOLE, "optimizer": "sgd", "select": "last"}, frozenset({"optimizer"})
    ),
    "solved for, then full": Kind(
        CONVEX, {**WHOLE, "train": "lpft"}, frozenset({"train", "probe.solver", "select"})
    ),
    "two views in epochs, then full": Kind(
        TWO,
        {**WHOLE, "train": "lpft", "probe.epochs": 2, "probe.batch_size": 2},
        frozenset({"train", "select"}),
    ),
}

#: of each setting, a value other than its default
VALUES: dict[str, object] = {
    "train": "lpft",
    "epochs": 3,
    "probe.epochs": 3,
    "patience": 1,
    "select": "best",
    "metric": "macro_f1",
    "probe.solver": "lbfgs",
    "probe.sweep": "weight_decay:3",
    "optimizer": "sgd",
    "lr": 0.02,
    "probe.lr": 0.03,
    "head_lr_multiplier": 3.0,
    "weight_decay": 0.7,
    "probe.weight_decay": 0.8,
    "momentum": 0.5,
    "warmup": 0.4,
    "clip": 1e-3,
    "batch_size": 3,
    "probe.batch_size": 4,
    "freeze_bn": "off",
    "val_fraction": 0.5,
    "image_size": 24,
    "augment": "off",
    "augment.crop_min": 0.9,
    "augment.flip": 0.0,
    "augment.jitter": 0.0,
    "views.cached": 3,
    "precision": "bf16",
    "channels_last": "off",
    "compile": "on",
    "seed": 1,
}
#: what decides neither what is trained nor on what, and where that is held to what it says
ELSEWHERE = {
    "data": "every test",
    "weights": "tests/corridor/test_weights_and_teachers.py",
    "device": "tests/training/test_device.py",
    "workers": "tests/data/test_pool.py",
    "links": "tests/data/test_table.py",
    "bad_images": "tests/corridor/test_bad_input.py",
    "balance": "tests/training/test_order.py",
    "deterministic": "tests/training/test_device.py",
    "probe.folds": "tests/training/test_sweep.py",
    "checkpoint.seconds": "tests/corridor/test_going_on.py",
    "checkpoint.steps": "tests/corridor/test_going_on.py",
}


def test_every_setting_is_tried() -> None:
    assert set(VALUES) | set(ELSEWHERE) == set(SETTINGS)
    assert not set(VALUES) & set(ELSEWHERE)


@pytest.fixture
def run(
    tiny: object,
    tmp_path: Path,
    draw: Callable[..., Path],
    train: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[Kind, dict[str, object]], tuple[Draft, Callable[[], bytes]]]:
    """Prepare a run of a kind with more settings; what is returned with it has it carried out."""
    del tiny
    folders = count()

    def prepared(kind: Kind, more: dict[str, object]) -> tuple[Draft, Callable[[], bytes]]:
        data = tmp_path / f"images{kind.counts}{kind.split}"
        if not data.exists():
            for part in ("train", "val") if kind.split else ("",):
                draw(data, kind.counts, split=part, first=10 * (part == "val"))
        given = {"weights": "none", "device": "cpu", **kind.settings, **more}
        spec = f"tiny/net+{kind.spec}"

        def carried_out() -> bytes:
            # The two figures never agree on which epoch is the better one.
            turn = count(1)

            def scores(*_: object) -> tuple[float, float]:
                epoch = next(turn)
                return epoch / 9, -epoch / 9

            monkeypatch.setattr("zoo.training.train.quick_scores", scores)
            plain: dict[str, Any] = {
                "epochs": None,
                "train": None,
                **given,
            }  # less what the fixture would give
            done = train(data, tmp_path / f"run{next(folders)}", spec=spec, **plain)
            return (done.folder / "model" / "model.safetensors").read_bytes()

        return draft.prepare(spec, {**given, "data": str(data)}), carried_out

    return prepared


def work(found: Draft) -> str:
    """What a plan will do, without what was wished for and why."""
    plan = plan_to_json(found.plan)
    for phase in plan["phases"]:
        del phase["reasons"]
    told = {name: plan[name] for name in ("phases", "counts", "preprocess", "views", "weights")}
    told["device"] = {name: one for name, one in plan["device"].items() if name != "reasons"}
    return json.dumps(told, sort_keys=True)


@pytest.mark.parametrize("name", KINDS)
def test_a_setting_is_heard_or_said_not_to_be_or_refused(name: str, run: Any) -> None:  # noqa: ANN401 - a fixture
    kind = KINDS[name]
    plain, carry_out = run(kind, {})
    assert not idle.unheard(plain.plan, own_split=plain.dataset.given).keys() & kind.settings.keys()
    trained, wrong = carry_out(), dict[str, str]()
    for setting, value in VALUES.items():
        try:
            found, carry_out_too = run(kind, {setting: value})
        except UsageError:
            continue
        unheard, notes = idle.unheard(found.plan, own_split=found.dataset.given), found.notes()
        assert all(any(f"{one}=" in note for note in notes) for one in unheard)
        said = setting in unheard
        # What is said to do nothing is held to it by the bits.
        heard = (not said and work(found) != work(plain)) or carry_out_too() != trained
        if said == heard and not (setting in kind.agrees and not said):
            wrong[setting] = "heard, and said not to be" if said else "neither heard nor said"
    assert wrong == {}


def test_settings_that_one_reason_silences_share_a_line(run: Any) -> None:  # noqa: ANN401 - a fixture
    given = {"clip": 2, "warmup": 0.25, "views.cached": 4}
    found, _ = run(KINDS["probe that is solved for"], given)
    steps, views = found.notes()
    assert steps == (
        "settings: clip=2, warmup=0.25 have no effect here: the probe is solved for by L-BFGS, not "
        "trained in steps (--set probe.solver=epochs has it trained)"
    )
    assert views == (
        "settings: views.cached=4 has no effect here: one view of each image is trained on"
    )


def test_folds_that_judge_no_sweep_are_said_to_do_nothing(run: Any) -> None:  # noqa: ANN401 - a fixture
    found, _ = run(KINDS["probe in epochs"], {"probe.folds": 3})
    assert "probe.folds=3 has no effect here: there is no probe.sweep to judge" in found.notes()[-1]
