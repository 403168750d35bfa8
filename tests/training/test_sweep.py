from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.torch import load_file

import zoo
from tests.conftest import PROBE, SPEC
from zoo import report
from zoo.draft import prepare
from zoo.errors import Diverged, UsageError
from zoo.progress import Silent
from zoo.training import sweep
from zoo.training import train as train_room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import torch

    from zoo.corridor import Run
    from zoo.index import Catalog
    from zoo.phases import PhasePlan
    from zoo.training import fit
    from zoo.training.session import Session

Train = Any  # a fixture that trains
pytestmark = pytest.mark.usefixtures("tiny")
FOUR = "lr:1e-3/1e-1,weight_decay:1/10"


def tensors(done: Run) -> dict[str, torch.Tensor]:
    return load_file(done.folder / "model" / "model.safetensors")


def swept(done: Run) -> dict[str, Any]:
    found: dict[str, Any] = done.summary["train"]["sweep"]
    return found


class Notes(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def note(self, line: str) -> None:
        self.told.append(line)


def test_a_sweep_of_one_setting_is_the_run_with_it(
    images: Path, tmp_path: Path, train: Train
) -> None:
    settings = {"spec": "tiny/net+linear:dropout=0.2+cekl", "batch_size": 4}
    one = train(images, tmp_path / "a", probe__sweep="lr:0.02,weight_decay:3", **settings)
    plain = train(images, tmp_path / "b", lr=0.02, weight_decay=3, **settings)
    a, b = tensors(one), tensors(plain)
    assert all(a[name].equal(b[name]) for name in b)
    assert swept(one)["chosen"] == {"lr": 0.02, "weight_decay": 3.0}
    assert plain.summary["train"]["sweep"] is None


def test_settings_that_are_trained_together_are_prepared_once(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates, real = list[float](), train_room.prepare

    def noted(session: Session, phase: PhasePlan) -> fit.Task:
        rates.append(phase.lr)
        return real(session, phase)

    monkeypatch.setattr(train_room, "prepare", noted)
    done = train(images, tmp_path / "run", probe__sweep="lr:1e-3/0.01/0.1", batch_size=4)
    assert rates == [1e-3, swept(done)["chosen"]["lr"]]


def test_the_chosen_setting_is_what_the_whole_training_part_is_trained_with(
    images: Path, tmp_path: Path, train: Train
) -> None:
    done = train(images, tmp_path / "a", probe__sweep=FOUR)
    found = swept(done)
    assert (found["trained_on"], found["held_out"]) == (9, 3)
    best = min(found["settings"], key=lambda one: one["loss"])
    assert {name: best[name] for name in ("lr", "weight_decay")} == found["chosen"]
    plain = train(images, tmp_path / "b", **found["chosen"])
    a, b = tensors(done), tensors(plain)
    assert all(a[name].equal(b[name]) for name in b)


BOTH = {
    "linear": {"spec": "tiny/net+linear+ce"},
    "dropout": {"spec": "tiny/net+linear:dropout=0.5+cekl", "balance": "weights"},
    "sampler": {"spec": "tiny/net+linear+ce", "balance": "sampler"},
    "views": {"spec": "tiny/net+contrastive+cekl:target=view"},
    "unused": {"spec": "tiny/net+contrastive:dropout=0.3+ce"},
    "coupled": {"spec": "tiny/net+linear+cekl:target=prior"},
    "unclipped": {"spec": "tiny/net+linear+ce", "clip": 0},
}


@pytest.mark.parametrize("name", BOTH)
def test_heads_that_are_trained_together_are_those_that_are_trained_alone(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    compared = []

    def states(*given: Any) -> Any:  # noqa: ANN401 - as the room has it
        together = {trained[:2]: trained[2] for trained in original(*given)}
        alone = sweep._one_by_one(*given)  # noqa: SLF001 - the other way
        for place, fold, other in alone:
            for key, value in together[place, fold].items():
                assert value.numpy() == pytest.approx(other[key].numpy(), rel=2e-3, abs=2e-5), key
                compared.append(key)
        return [(*place, state) for place, state in together.items()]

    original = sweep._states  # noqa: SLF001 - watched
    monkeypatch.setattr(sweep, "_states", states)
    notes = Notes()
    train(images, tmp_path / "a", probe__sweep=FOUR, batch_size=4, listener=notes, **BOTH[name])
    assert len(compared) >= 8
    assert not [line for line in notes.told if "one setting after the other" in line]


def test_settings_that_do_not_fit_into_memory_at_once_are_trained_in_groups(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = swept(train(images, tmp_path / "a", probe__sweep=FOUR))
    monkeypatch.setattr("zoo.training.heads.NUMBERS", 60)
    parts = swept(train(images, tmp_path / "b", probe__sweep=FOUR))
    assert [one["loss"] for one in parts["settings"]] == pytest.approx(
        [one["loss"] for one in whole["settings"]], abs=2e-6
    )


def test_a_loss_that_cannot_be_vectorised_is_swept_one_setting_after_the_other(
    tiny: Callable[..., Catalog], images: Path, tmp_path: Path, train: Train
) -> None:
    loss = zoo.Component(
        name="stubborn", target="stubborn_losses:Stubborn", needs=("logits",), summary="CE."
    )
    tiny(losses=[loss])
    notes = Notes()
    spec = "tiny/net+linear+tiny/stubborn"
    done = train(images, tmp_path / "a", spec=spec, probe__sweep=FOUR, listener=notes)
    usual = train(images, tmp_path / "b", spec="tiny/net+linear+ce", probe__sweep=FOUR)
    assert [one["loss"] for one in swept(done)["settings"]] == pytest.approx(
        [one["loss"] for one in swept(usual)["settings"]], abs=1e-4
    )
    (said,) = [line for line in notes.told if line.startswith("sweep:")]
    assert "one setting after the other, since all at once fail" in said


def test_no_validation_image_has_a_say_in_the_choice(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    for solver in ({"probe__sweep": FOUR}, SOLVED):
        clean = swept(train(images, tmp_path / f"clean {len(solver)}", **solver))
        original = sweep.chosen

        def poisoned(session: Session, *rest: Any, how: Any = original) -> Any:  # noqa: ANN401
            kept = session.features["val"].clone()
            session.features["val"].fill_(math.nan)
            found = how(session, *rest)
            session.features["val"] = kept
            return found

        with monkeypatch.context() as patch:
            patch.setattr(sweep, "chosen", poisoned)
            poisoned_run = train(images, tmp_path / f"poisoned {len(solver)}", **solver)
        assert swept(poisoned_run) == clean


SOLVED: dict[str, Any] = {
    "epochs": None,
    "spec": "tiny/net+linear+ce",
    "probe__solver": "lbfgs",
    "probe__sweep": "weight_decay:1e-4..10x6",
    "probe__folds": 5,
}


def test_a_solvers_decay_is_chosen_too(images: Path, tmp_path: Path, train: Train) -> None:
    done = train(images, tmp_path / "a", **SOLVED)
    found = swept(done)
    assert len(found["settings"]) == 6
    assert all(math.isfinite(one["loss"]) for one in found["settings"])
    (phase,) = done.summary["train"]["phases"]
    assert phase["solver"]["weight_decay"] == found["chosen"]["weight_decay"]
    # Four images a class, five folds: each image is held out once.
    assert (found["folds"], found["held_out"], found["trained_on"]) == (5, 12, 10)
    assert "on 12 held-out training images in 5 folds" in "\n".join(
        report.lines(done.summary, done.folder)
    )
    plain = train(images, tmp_path / "b", **{**SOLVED, "probe__sweep": "", **found["chosen"]})
    a, b = tensors(done), tensors(plain)
    assert all(a[name].equal(b[name]) for name in b)


def test_folds_that_are_solved_for_together_are_those_that_are_solved_for_alone(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tolerance in ("solve.TOLERANCE", "solve.ROUGH"):
        monkeypatch.setattr(f"zoo.training.{tolerance}", 1e-6)
    for balance in ("none", "weights"):
        given = {**SOLVED, "balance": balance}
        together = swept(train(images, tmp_path / f"together {balance}", **given))
        with monkeypatch.context() as patch:
            patch.setattr("zoo.training.path.along", failing)
            notes = Notes()
            alone = swept(train(images, tmp_path / f"alone {balance}", listener=notes, **given))
        assert any("one setting after the other" in line for line in notes.told)
        for one, other in zip(together["settings"], alone["settings"], strict=True):
            # The weaker the decay, the farther apart two gradients of 1e-6 may lie.
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-3, abs=2e-6)
            assert one["top1"] == other["top1"]
        assert together["chosen"] == alone["chosen"]


def failing(*_: object, **_more: object) -> Iterator[Any]:
    raise RuntimeError("no such pass")
    yield


@pytest.mark.parametrize("folds", [1, 2, 3])
def test_the_images_that_judge_are_those_of_the_folds_asked_for(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, folds: int
) -> None:
    seen: list[int] = []
    original = sweep._judged  # noqa: SLF001 - watched

    def judged(session: Session, held: sweep.Held, state: Any) -> Any:  # noqa: ANN401
        seen.append(len(held.target))
        return original(session, held, state)

    monkeypatch.setattr(sweep, "_judged", judged)
    done = train(images, tmp_path / "a", probe__sweep=FOUR, probe__folds=folds)
    found = swept(done)
    assert found["folds"] == folds
    assert found["held_out"] == (3 if folds == 1 else 12)
    assert len(seen) == 4 * folds
    assert sum(seen) == 4 * found["held_out"]


@pytest.mark.parametrize("wish", [{"balance": "weights"}, {"metric": "macro_f1"}])
def test_where_classes_shall_count_alike_they_do_in_the_judgement(
    draw: Callable[..., Path], tmp_path: Path, train: Train, wish: dict[str, str]
) -> None:
    """An image counts by how rare its class is in the training part: 4, 8 and 16 of them."""
    import torch

    data = draw(tmp_path / "uneven", (5, 10, 20))
    means: list[float] = []
    original = sweep._judged  # noqa: SLF001 - watched

    def judged(session: Session, held: sweep.Held, state: Any) -> Any:  # noqa: ANN401
        head = session.model.head.eval()
        logits = torch.func.functional_call(head, state, (held.features[:, :1],)).logits
        each = torch.nn.functional.cross_entropy(logits, held.target, reduction="none")
        weights = (1 / torch.tensor([4.0, 8.0, 16.0]))[held.target]
        means.append(float((weights * each).sum() / weights.sum()))
        return original(session, held, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_judged", judged)
        done = train(data, tmp_path / "a", probe__sweep=FOUR, **wish)
    found = swept(done)
    assert [one["loss"] for one in found["settings"]] == pytest.approx(means, abs=2e-6)
    assert found["weighted"]
    assert "in which each class counts the same" in repr(done)
    plain = swept(train(data, tmp_path / "b", probe__sweep=FOUR))
    assert not plain["weighted"]
    assert [one["loss"] for one in plain["settings"]] != [one["loss"] for one in found["settings"]]


def test_a_metric_that_weighs_a_sweep_is_not_said_to_do_nothing(
    draw: Callable[..., Path], tmp_path: Path
) -> None:
    given = {**PROBE, "probe.sweep": FOUR, "metric": "macro_f1"}
    for counts, heard in (((6, 6, 12), True), ((6, 6, 6), False)):
        data = draw(tmp_path / str(counts[2]), counts)
        notes = prepare(SPEC, {**given, "data": str(data)}).notes()
        assert any("metric=macro_f1 has no effect" in note for note in notes) is not heard


def test_a_setting_that_diverges_is_never_chosen(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = sweep._states  # noqa: SLF001 - watched

    def spoilt(*given: Any) -> Any:  # noqa: ANN401 - as the room has it
        for place, fold, state in original(*given):
            factor = math.nan if place in spoils else 1
            yield place, fold, {name: one * factor for name, one in state.items()}

    monkeypatch.setattr(sweep, "_states", spoilt)
    spoils = [0, 3]
    done = train(images, tmp_path / "a", probe__sweep=FOUR)
    losses = [one["loss"] for one in swept(done)["settings"]]
    assert [place for place, loss in enumerate(losses) if loss is None] == spoils
    assert swept(done)["chosen"] != {"lr": 1e-3, "weight_decay": 1.0}
    assert "no finite answers" in "\n".join(report.lines(done.summary, done.folder))
    spoils = [0, 1, 2, 3]
    with pytest.raises(Diverged, match=r"No setting of probe\.sweep"):
        train(images, tmp_path / "b", probe__sweep=FOUR)


def test_classes_too_small_to_hold_anything_out_are_refused(
    draw: Callable[..., Path], tmp_path: Path, train: Train
) -> None:
    few = draw(tmp_path / "few", (2, 2, 2))
    with pytest.raises(UsageError, match="no class has images enough"):
        train(few, tmp_path / "a", probe__sweep=FOUR)
    assert not (tmp_path / "a").exists()


def test_a_choice_by_few_images_is_said_before_it_is_made(
    draw: Callable[..., Path], tmp_path: Path
) -> None:
    few = draw(tmp_path / "few", (6, 6, 2))
    given = {**PROBE, "data": str(few), "probe.sweep": FOUR}
    (told,) = [note for note in prepare(SPEC, given).notes() if "probe.sweep" in note]
    assert told == "probe.sweep: only 2 held-out images of 2 of 3 classes choose the settings"


def test_terminal_and_page_show_what_was_tried(images: Path, tmp_path: Path, train: Train) -> None:
    done = train(images, tmp_path / "a", probe__sweep="lr:1e-3..1e-1x7")
    lines = [line.strip() for line in report.lines(done.summary, done.folder)]
    (place,) = [at for at, line in enumerate(lines) if "best of 7 settings on 3 held-out" in line]
    assert place
    tried = [line for line in lines if line.startswith("lr ")]
    assert len(tried) == 5
    assert "and 2 more, in summary.json" in lines
    losses = [float(line.split("held-out loss ")[1].split(",")[0]) for line in tried]
    assert losses == sorted(losses)
    page = (done.folder / "report.html").read_text()
    assert page.count("<tr><td>lr ") == 7


def test_a_head_is_put_back_before_the_choice_is_trained(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    @contextlib.contextmanager
    def watched(head: torch.nn.Module) -> Iterator[None]:
        before = {name: one.clone() for name, one in head.state_dict().items()}
        with original(head):
            yield
        seen.append(all(before[name].equal(one) for name, one in head.state_dict().items()))

    original = sweep._as_it_was  # noqa: SLF001 - watched
    monkeypatch.setattr(sweep, "_as_it_was", watched)
    train(images, tmp_path / "a", probe__sweep=FOUR)
    train(images, tmp_path / "b", **SOLVED)
    assert seen == [True, True]


def test_the_choice_is_in_every_checkpoint_that_follows_it(
    images: Path, tmp_path: Path, train: Train
) -> None:
    done = train(images, tmp_path / "a", probe__sweep=FOUR)
    (newest, *_) = sorted((done.folder / "checkpoints").glob("step-*"), reverse=True)
    described = json.loads((newest / "position.json").read_text())
    assert described["sweep"] == swept(done)
    assert np.isfinite([one["loss"] for one in described["sweep"]["settings"]]).all()
