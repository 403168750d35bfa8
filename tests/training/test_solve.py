from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import zoo_heads.linear
import zoo_losses.ce
import zoo_losses.cekl
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

import zoo
from zoo.draft import prepare
from zoo.errors import Diverged
from zoo.training import fit, optimise, solve
from zoo.training.assemble import Maker
from zoo.training.device import choose
from zoo.training.feeds import FeatureFeed
from zoo.training.order import class_weights

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.history import EpochRecord

Train = Any  # a fixture that trains
CPU = choose("cpu", "fp32", "off", layout="token")
#: the stubs at hand do not know its newest arguments
LOGISTIC: Any = LogisticRegression
IMAGES, WIDTH, CLASSES = 90, 6, 3


def problem() -> tuple[Tensor, np.ndarray]:
    """Features `[n, 1, D]` of three unequal classes that overlap, and targets."""
    draw = np.random.default_rng(0)
    target = np.repeat(np.arange(CLASSES), (50, 30, 10))
    centres = draw.normal(size=(CLASSES, WIDTH))
    features = centres[target] + draw.normal(size=(IMAGES, WIDTH))
    return torch.from_numpy(features).float()[:, None], target


def task(
    loss: nn.Module,
    decay: float,
    *,
    weights: np.ndarray | None = None,
    features: Tensor | None = None,
) -> fit.Task:
    found, target = problem()
    head = zoo_heads.linear.build(zoo.HeadContext(features=WIDTH, classes=CLASSES, views=1))
    recipe = optimise.Recipe(
        optimizer="lbfgs",
        lr=1.0,
        head_lr=1.0,
        weight_decay=decay,
        momentum=0.0,
        warmup=0.0,
        steps=1,
        clip=0.0,
    )
    groups = {"head": list(head.named_parameters()), "loss": list(loss.named_parameters())}
    return fit.Task(
        phase=fit.Phase(name="probe", epochs=1, batch_size=IMAGES, recipe=recipe, seed=0),
        learner=fit.Learner(
            trained=head,
            forward=head,
            loss=loss,
            blame=Maker("losses/test (zoo-losses 1.0)", lambda: loss, {}),
            groups=groups,
            device=CPU,
        ),
        feed=FeatureFeed(found if features is None else features, 1, 0),
        targets=target,
        weights=weights,
        extras={},
        validate=lambda: None,
        optimizer=optimise.build(groups, recipe),
    )


def solved(it: fit.Task, **known: Any) -> list[EpochRecord]:  # noqa: ANN401 - of `solve.run`
    given: dict[str, Any] = {
        "after_step": lambda: None,
        "progress": lambda _count, _loss: None,
        "name_samples": lambda samples: [f"image {sample}" for sample in samples],
    }
    return list(solve.run(it, **{**given, **known}))


def classifier(it: fit.Task) -> nn.Linear:
    layer = it.learner.trained.classifier
    assert isinstance(layer, nn.Linear)
    return layer


def ce(smoothing: float = 0.0) -> nn.Module:
    return zoo_losses.ce.CrossEntropy(label_smoothing=smoothing)


def cekl() -> nn.Module:
    context = zoo.LossContext(classes=CLASSES, class_counts=(50, 30, 10), embedding=0, steps=1)
    return zoo_losses.cekl.build(context)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(
    # C, and how near float32 comes: the weaker the penalty, the flatter the optimum.
    ("penalty", "within"),
    [(0.0125, 1e-4), (0.1, 1e-4), (1.0, 5e-4)],
)
def test_the_optimum_is_that_of_logistic_regression(
    penalty: float, within: float, *, balanced: bool
) -> None:
    features, target = problem()
    weights = class_weights(target) if balanced else None
    theirs = LOGISTIC(C=penalty, tol=1e-10, max_iter=10_000)
    theirs.fit(features[:, 0].double().numpy(), target, sample_weight=weights)
    it = task(ce(), 1 / (penalty * IMAGES), weights=weights)
    solved(it)
    layer = classifier(it)
    assert layer.weight.detach().numpy() == pytest.approx(theirs.coef_, abs=within)
    # Only differences of biases mean anything.
    ours = layer.bias.detach().numpy()
    assert ours - ours.mean() == pytest.approx(
        theirs.intercept_ - theirs.intercept_.mean(), abs=within
    )


@pytest.mark.parametrize("loss", [ce, lambda: ce(0.2), cekl])
def test_nothing_near_the_optimum_is_better(loss: Any) -> None:  # noqa: ANN401 - makes a loss
    it = task(loss(), 0.05)
    (record,) = solved(it)
    features, target = problem()
    batch = zoo.Batch(target=torch.from_numpy(target), samples=torch.arange(IMAGES), epoch=0)

    def objective() -> float:
        head = it.learner.trained
        with torch.no_grad():
            terms = it.learner.loss(head(features), batch)
            decay = 0.025 * classifier(it).weight.double().square().sum()
            return float(sum(term.double() for term in terms.values()) + decay)

    best = objective()
    assert record.loss < best  # the decay is no part of the loss that is told
    torch.manual_seed(0)
    for _ in range(20):
        before = [one.detach().clone() for one in it.learner.trained.parameters()]
        with torch.no_grad():
            for one in it.learner.trained.parameters():
                one.add_(0.01 * torch.randn_like(one))
        assert objective() > best
        with torch.no_grad():
            for one, old in zip(it.learner.trained.parameters(), before, strict=True):
                one.copy_(old)


def test_pieces_of_the_images_give_the_optimum_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, cut = task(ce(), 0.1), task(ce(), 0.1)
    solved(whole)
    monkeypatch.setattr(solve, "_CHUNK", 7)
    solved(cut)
    for one, other in zip(
        whole.learner.trained.parameters(), cut.learner.trained.parameters(), strict=True
    ):
        assert one.detach().numpy() == pytest.approx(other.detach().numpy(), abs=1e-4)


def test_its_only_record_and_its_account_tell_how_it_went() -> None:
    it = task(ce(), 0.1)
    (record,) = solved(it)
    assert (record.epoch, record.lr, record.top1) == (1, 0.0, None)
    assert record.step == it.position.step > 3
    told = solve.account(it.position, 0.1, IMAGES)
    assert told["gradient"] < 1e-4
    assert told["evaluations"] >= told["iterations"] == record.step
    assert told["C"] == pytest.approx(1 / 9)
    assert not it.optimizer.state
    assert solved(it) == []  # it is at its end


def test_a_solve_that_begins_at_the_optimum_ends_there() -> None:
    it = task(ce(), 0.1)
    solved(it)
    again = task(ce(), 0.1)
    again.learner.restore(it.learner.state())
    solved(again, tolerance=1e-3)
    assert again.position.step == 0


def test_while_it_is_solved_for_whoever_saves_sees_the_start() -> None:
    it = task(ce(), 0.1)
    seen = []

    def look() -> None:
        seen.append(float(classifier(it).weight.detach().abs().max()))
        assert not it.optimizer.state
        assert it.position.step == 0

    solved(it, after_step=look)
    assert len(seen) > 3
    assert set(seen) == {0.0}
    assert float(classifier(it).weight.detach().abs().max()) > 0.1


def test_features_that_are_no_numbers_are_named() -> None:
    features, _ = problem()
    features[[4, 7], 0, 2] = torch.nan
    with pytest.raises(Diverged, match="of these are not finite: image 4, image 7") as caught:
        solved(task(ce(), 0.1, features=features))
    assert caught.value.facts["files"] == ["image 4", "image 7"]


@pytest.mark.usefixtures("tiny")
def test_a_run_that_is_solved_for_says_so(images: Path, tmp_path: Path, train: Train) -> None:
    done = train(
        images, tmp_path / "run", epochs=None, spec="tiny/net+linear+ce", balance="weights"
    )
    (phase,) = done.summary["train"]["phases"]
    assert phase["solver"]["iterations"] == phase["steps"]
    assert phase["solver"]["C"] == pytest.approx(1 / (12 * phase["solver"]["weight_decay"]))
    assert not done.summary["train"]["val_used_to_choose"]
    assert "solved for by L-BFGS" in repr(done)
    (line,) = (done.folder / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["top1"] == done.summary["val"]["top1"]
    assert done.summary["train"]["frozen"]["verified"]


@pytest.mark.usefixtures("tiny")
def test_what_switches_the_solver_off_is_said(images: Path) -> None:
    given = {"weights": "none", "train": "probe", "data": str(images)}
    notes = prepare("tiny/net+linear+ce", {**given, "patience": 3}).notes()
    assert [one for one in notes if one.startswith("probe: trained in epochs and not solved for")]
    notes = prepare("tiny/net+linear+ce", {**given, "patience": 0, "select": "last"}).notes()
    assert not [one for one in notes if one.startswith("probe: ")]
