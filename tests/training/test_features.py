from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import zoo
from zoo.data.decode import decode
from zoo.data.preprocess import pixels
from zoo.training import train as room
from zoo.training.predictor import head_logits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Train = Any  # a fixture that trains
Spy = Any  # a fixture that hands over the session
pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def spied(
    images: Path,
    tmp_path: Path,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    cold: Callable[[], None],
) -> Callable[..., Any]:
    """Train with nothing known of the images, and hand over the session as it is afterwards."""
    begin = room.train

    def run(name: str = "run", **settings: object) -> Any:  # noqa: ANN401 - a session
        cold()
        seen: list[Any] = []

        def spying(session: Any, **given: Any) -> None:  # noqa: ANN401 - passed on
            begin(session, **given)
            # The pixels go when the run is over.
            kept = session.images.pixels[session.images.pixels_row]
            seen.append((session, kept.copy()))

        with monkeypatch.context() as patch:
            patch.setattr(room, "train", spying)
            train(images, tmp_path / name, **settings)
        return seen[0]

    return run


@pytest.mark.parametrize("spec", ["tiny/net+linear+ce", "tiny/net+contrastive+cekl"])
def test_features_of_the_training_part_have_unit_size(spied: Spy, spec: str) -> None:
    session, _ = spied(spec=spec)
    features = session.features["train"]
    assert features.shape == (12, session.plan.kept_views, 8)
    assert float(features.square().mean()) == pytest.approx(1, rel=1e-5)


def test_a_full_run_measures_the_scale_on_its_views(spied: Spy) -> None:
    session, _ = spied(train="full", epochs=1, augment="off")
    assert session.model.feature_scale != 1
    assert "train" not in session.features


def test_validation_features_are_those_that_prediction_computes(
    spied: Spy, images: Path, tmp_path: Path
) -> None:
    session, stored = spied(epochs=5)
    rows = session.dataset.rows("val")
    model = zoo.load(tmp_path / "run", device="cpu")
    paths = [session.dataset.table.rows[row].path for row in rows]
    assert paths[0].is_relative_to(images)
    made = np.stack([pixels(decode(path), model.preprocess) for path in paths])
    assert (made == stored[rows]).all()
    expected = head_logits(session.model, session.features["val"], session.device)
    assert torch.equal(model.logits(made), expected)


def test_kept_views_are_the_same_for_every_run_seed_and_head(spied: Spy) -> None:
    one, _ = spied("a", spec="tiny/net.v2+contrastive+cekl", seed=0)
    other, _ = spied("b", spec="tiny/net.v2+contrastive:width=4+ce", seed=0)
    assert one.plan.kept_views == 8
    assert torch.equal(one.features["train"], other.features["train"])


def test_one_view_is_the_validation_crop(spied: Spy) -> None:
    plain, _ = spied("a")
    still, _ = spied("b", augment="off")
    assert torch.equal(plain.features["train"], still.features["train"])
