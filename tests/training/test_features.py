from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch

import zoo
from zoo.data import augment
from zoo.data.decode import decode
from zoo.data.preprocess import pixels
from zoo.training import features, resident
from zoo.training import train as room
from zoo.training.predictor import head_logits

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor


class Installed(NamedTuple):
    """A plugin, as far as features look at it."""

    distribution: str
    fingerprint: str


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
    """Train, and hand over the session as it is afterwards.

    Nothing is known of the images but with `warm=True`: then what the run before left is.
    """
    begin = room.train

    def run(name: str = "run", *, warm: bool = False, **settings: object) -> Any:  # noqa: ANN401 - a session
        if not warm:
            cold()
        seen: list[Any] = []

        def spying(session: Any, **given: Any) -> None:  # noqa: ANN401 - passed on
            begin(session, **given)
            # The pixels go when the run is over; of a warm one there may be none.
            rows = session.images.pixels_row
            kept = session.images.pixels[rows] if (rows >= 0).any() else session.images.pixels
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


@pytest.mark.parametrize("best", [1, 2, 0], ids=["first", "last", "none chosen"])
def test_after_a_phase_validation_features_are_of_the_weights_that_it_kept(
    images: Path, train: Train, monkeypatch: pytest.MonkeyPatch, best: int
) -> None:
    tops = iter([(0.5, 0.0), (0.25, 0.0)] if best == 1 else [(0.25, 0.0), (0.5, 0.0)])
    found: list[Any] = []
    judge = room.final_scores

    def figures(*_: Tensor) -> tuple[float, float]:
        return next(tops)

    monkeypatch.setattr(room, "quick_scores", figures)

    def judging(session: Any) -> Any:  # noqa: ANN401 - passed on
        kept = session.features["val"]
        found.append(
            (session.phases[0]["best_epoch"], kept, features.split_features(session, "val"))
        )
        return judge(session)

    monkeypatch.setattr(room, "final_scores", judging)
    select = "best" if best else "last"
    train(images, "run", train="full", epochs=2, lr=0.1, select=select, batch_size=4)
    ((epoch, kept, anew),) = found
    assert epoch == (best or 2)
    assert torch.equal(kept, anew)


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
    expected = head_logits(session.model, session.features["val"])
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


# what is kept for later runs

TWO_VIEWS = "tiny/net+contrastive+cekl"


@pytest.mark.parametrize("spec", ["tiny/net+linear+cekl", TWO_VIEWS])
def test_a_second_run_decodes_nothing_and_computes_no_feature(spied: Spy, spec: str) -> None:
    first, _ = spied("a", spec=spec)
    again, _ = spied("b", spec=spec, warm=True)
    assert first.images.decoded == 15
    assert first.forwards == 12 * first.plan.kept_views + 3
    assert (again.images.decoded, again.forwards) == (0, 0)
    for part in ("train", "val"):
        assert torch.equal(first.features[part], again.features[part])


@pytest.mark.parametrize(
    ("spec", "settings"),
    [
        ("tiny/net+contrastive:width=4+cekl", {}),
        ("tiny/net+contrastive+ce", {"lr": 0.1, "epochs": 1}),
        (TWO_VIEWS, {"batch_size": 3, "balance": "sampler", "device": "cpu"}),
    ],
)
def test_another_head_loss_or_optimiser_needs_no_new_feature(
    spied: Spy, spec: str, settings: dict[str, object]
) -> None:
    spied("a", spec=TWO_VIEWS)
    again, _ = spied("b", spec=spec, warm=True, **settings)
    assert (again.images.decoded, again.forwards) == (0, 0)


@pytest.mark.parametrize(
    ("spec", "settings", "decoded"),
    [
        pytest.param("tiny/net:img_size=40+contrastive+cekl", {}, 15, id="another option"),
        pytest.param("tiny/net.v2+contrastive+cekl", {}, 15, id="another preprocessing"),
        pytest.param(TWO_VIEWS, {"image_size": 40}, 15, id="another size"),
        pytest.param(TWO_VIEWS, {"augment__flip": 0.1}, 0, id="another augmentation"),
    ],
)
def test_whatever_changes_a_feature_has_it_computed_anew(
    spied: Spy, spec: str, settings: dict[str, object], decoded: int
) -> None:
    first, _ = spied("a", spec=TWO_VIEWS)
    other, _ = spied("b", spec=spec, warm=True, **settings)
    assert other.images.decoded == decoded
    alone, _ = spied("c", spec=spec, **settings)
    kept = first.plan.kept_views
    assert other.forwards == (12 * kept if "augment__flip" in settings else 12 * kept + 3)
    assert alone.forwards == 12 * kept + 3
    for part in ("train", "val"):
        assert torch.equal(other.features[part], alone.features[part])


def test_views_of_another_way_to_augment_are_computed_anew(
    spied: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that validate do not depend on it."""
    first, _ = spied("a", spec=TWO_VIEWS)
    monkeypatch.setattr(augment, "VERSION", augment.VERSION + 1)
    other, _ = spied("b", spec=TWO_VIEWS, warm=True)
    assert other.forwards == 12 * first.plan.kept_views


@pytest.mark.parametrize(
    ("place", "other"),
    [
        ("zoo.training.features.sources", lambda: (Installed("zoo-tiny", "edited"),)),
        ("torch.backends.cpu.get_cpu_capability", lambda: "ANOTHER"),
        ("torch.cpu.get_capabilities", lambda: {"avx512_bf16": True}),
    ],
    ids=["code", "vectors", "instructions"],
)
def test_features_of_other_code_or_of_another_processor_are_computed_anew(
    spied: Spy, monkeypatch: pytest.MonkeyPatch, place: str, other: Callable[[], object]
) -> None:
    monkeypatch.setattr(features, "sources", lambda: (Installed("zoo-tiny", "as it was"),))
    first, _ = spied("first", device="auto", precision="auto")
    same, _ = spied("same", warm=True, device="cpu", precision="fp32")
    assert first.plan.backbone.plugin == "zoo-tiny"
    assert (first.forwards > 0, same.forwards) == (True, 0)
    monkeypatch.setattr(place, other)
    another, _ = spied("other", warm=True, device="cpu", precision="fp32")
    assert another.forwards == first.forwards


def test_pictures_on_the_device_train_the_same_model(
    spied: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed, _ = spied("a", spec=TWO_VIEWS, train="full", epochs=2)

    def room(device: object) -> float:
        del device
        return 1e9

    monkeypatch.setattr(resident, "room", room)
    there, _ = spied("b", spec=TWO_VIEWS, train="full", epochs=2)
    for one, other in zip(
        streamed.model.state_dict().values(), there.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_other_weights_of_the_same_backbone_have_features_of_their_own(
    spied: Spy, tmp_path: Path
) -> None:
    """By its tensors, not by the name of a file."""
    from safetensors.torch import save_file

    from tests.parts.tiny_parts import net

    torch.manual_seed(0)
    seen = []
    for number in range(2):
        save_file(net(None).state_dict(), tmp_path / "net.safetensors")
        session, _ = spied(str(number), warm=True, weights=str(tmp_path / "net.safetensors"))
        seen.append(session)
    assert [one.forwards for one in seen] == [15, 15]
    assert not torch.equal(seen[0].features["train"], seen[1].features["train"])


def test_an_added_picture_is_all_that_is_decoded(spied: Spy, images: Path, draw: Any) -> None:  # noqa: ANN401 - a fixture
    spied("a")
    draw(images, (1, 0, 0), first=5)
    again, _ = spied("b", warm=True)
    assert (again.images.decoded, again.forwards) == (1, 1)
