from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import zoo
from tests.training.test_solve import IMAGES, ce, cekl, classifier, problem, solved, task
from zoo.training import path, solve
from zoo.training.order import class_weights

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.training import fit

DECAYS = (0.003, 1.0, 0.03, 0.3, 0.1, 0.0)
FOLDS = np.arange(IMAGES) % 4 - 1  # a quarter is held out by none


def objective(it: fit.Task, weight: Tensor, bias: Tensor, decay: float) -> float:
    """Of a head, on what the task trains on, in float64."""
    layer = classifier(it)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
        features, target = it.feed.batch(0, np.arange(len(it.targets))), it.targets
        weights = None if it.weights is None else torch.from_numpy(it.weights)
        batch = zoo.Batch(
            target=torch.from_numpy(target),
            samples=torch.arange(len(target)),
            epoch=0,
            weight=weights,
        )
        terms = it.learner.loss(it.learner.trained.double()(features.double()), batch)
        it.learner.trained.float()
    squares = float(weight.detach().double().square().sum())
    return float(sum(term.double() for term in terms.values())) + decay / 2 * squares


@pytest.mark.parametrize("loss", [ce, lambda: ce(0.2), cekl])
@pytest.mark.parametrize("balanced", [False, True])
def test_every_optimum_on_the_path_is_as_low_as_that_of_a_solve(
    loss: Any,  # noqa: ANN401 - makes a loss
    *,
    balanced: bool,
) -> None:
    features, target = problem()
    weights = class_weights(target) if balanced else None
    found = along(task(loss(), 1.0, weights=weights), DECAYS[:-1], tolerance=solve.TOLERANCE)
    places = []
    for place, fold, state in found:
        places.append((place, fold))
        kept, decay = fold != FOLDS, DECAYS[place]
        it = task(
            loss(),
            decay,
            weights=class_weights(target[kept]) if balanced else None,
            features=features[kept],
        )
        it.targets = target[kept]
        solved(it)
        layer = classifier(it)
        theirs = objective(it, layer.weight.clone(), layer.bias.clone(), decay)
        ours = objective(it, state["classifier.weight"], state["classifier.bias"], decay)
        assert ours == pytest.approx(theirs, rel=1e-6)
    assert places == [(place, fold) for place in (1, 3, 4, 2, 0) for fold in (0, 1, 2)]


def along(it: fit.Task, decays: tuple[float, ...], **more: Any) -> list[tuple[int, int, Any]]:  # noqa: ANN401
    given: dict[str, Any] = {"tolerance": solve.ROUGH, **more}
    return list(path.along(it, decays, FOLDS, lambda: None, **given))


def test_the_head_of_the_task_stays_as_it_is() -> None:
    it = task(ce(), 1.0)
    along(it, DECAYS)
    assert not classifier(it).weight.any()
    assert classifier(it).weight.requires_grad


def test_folds_and_images_that_do_not_fit_into_memory_at_once_are_taken_in_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = {one[:2]: one[2] for one in along(task(cekl(), 1.0), DECAYS, tolerance=1e-5)}
    monkeypatch.setattr(path, "NUMBERS", 2 * 21)
    monkeypatch.setattr(path, "_CHUNK", 50)
    parts = along(task(cekl(), 1.0), DECAYS, tolerance=1e-5)
    assert len(parts) == len(whole)
    for place, fold, state in parts:
        if decay := DECAYS[place]:  # without decay the optimum is flat
            ours, theirs = (one["classifier.weight"] for one in (state, whole[place, fold]))
            # Both are as near as the least curvature lets two gradients of this size be.
            assert float((ours - theirs).norm()) < 2 * 1e-5 * ours.numel() ** 0.5 / decay


def test_images_of_whom_much_is_made_are_taken_fewer_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def counted(*given: Any) -> Any:  # noqa: ANN401 - as the original
        problems.append(original(*given))
        return problems[-1]

    problems: list[Any] = []
    original = path._Problem.of  # noqa: SLF001 - watched
    monkeypatch.setattr(path._Problem, "of", staticmethod(counted))  # noqa: SLF001
    made = []
    for most in (2**26, 2000, 1):
        monkeypatch.setattr(path, "_MADE", most)
        along(task(ce(), 1.0), (1.0,))
        made.append([len(batch.target) for _, _, batch in problems[-1].parts])
    assert made[0] == [IMAGES]
    # Of three folds at least the logits of three classes, and what a softmax makes of them.
    assert 1 < max(made[1]) < 2000 / (3 * 3 * 2)
    assert made[2] == [1] * IMAGES


def test_neighbours_on_a_path_cost_less_than_solves_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = [0]

    def counted(*given: Any) -> Any:  # noqa: ANN401 - as the original
        counts[-1] += len(given[2])
        return original(*given)

    original = path._Problem.evaluate  # noqa: SLF001 - counted
    monkeypatch.setattr(path._Problem, "evaluate", counted)  # noqa: SLF001
    decays = tuple(np.geomspace(1e-3, 1, 16).tolist())
    along(task(ce(), 1.0), decays)
    on_the_path = counts[-1]
    for decay in decays:
        counts.append(0)
        along(task(ce(), 1.0), (decay,))
    assert on_the_path < sum(counts[1:]) / 2


def test_who_asks_to_stop_is_heard_between_evaluations() -> None:
    class Enough(Exception):
        pass

    asked = 0

    def pause() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Enough

    with pytest.raises(Enough):
        list(path.along(task(ce(), 1.0), DECAYS, FOLDS, pause, tolerance=solve.ROUGH))
