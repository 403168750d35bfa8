from __future__ import annotations

import json
import weakref
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo import folders
from zoo.inference import evaluate
from zoo.progress import Silent
from zoo.training.fold import RULE, fold
from zoo.training.model import Model, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Train = Any  # a fixture that trains
SIZE = (12, 10)


class NormAct(nn.BatchNorm2d):
    """As timm's: an activation within the norm."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.drop, self.act = nn.Identity(), nn.ReLU(inplace=True)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        return self.act(self.drop(super().forward(input)))


class Doubled(nn.BatchNorm2d):
    """Not what a BatchNorm is."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        return 2 * super().forward(input)


class Standard(nn.Conv2d):
    """Weights that are standardised in each pass: a factor in them comes to nothing."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        return self._conv_forward(input, self.weight / self.weight.std(), self.bias)


class Pooled(nn.Module):
    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)

    def forward(self, images: Tensor) -> Tensor:
        return self.parts(images).mean((2, 3))


class Twice(Pooled):
    """Goes through its only convolution twice."""

    def forward(self, images: Tensor) -> Tensor:
        return self.parts(self.parts(images)).mean((2, 3))


class Beside(Pooled):
    """Reads the convolution's output beside its norm."""

    def forward(self, images: Tensor) -> Tensor:
        plain = self.parts[0](images)
        return (self.parts[1](plain) + plain).mean((2, 3))


class Asks(Pooled):
    """Looks into its norm."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + self.get_buffer("parts.1.running_mean").mean()


def lived(module: nn.Module) -> nn.Module:
    """With statistics and factors as after training."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low in ((part.running_mean, -1), (part.running_var, 0.5), (part.bias, -1)):
                assert tensor is not None
                nn.init.uniform_(tensor, low, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
    return module.eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def conv(width: int = 4, **named: Any) -> nn.Conv2d:  # noqa: ANN401 - a convolution's
    return nn.Conv2d(4, width, 3, **named)


FOLDED = {
    "plain": (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
    "no bias": (nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)),
    "depthwise": (nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6), nn.ReLU6()),
    "with activation": (nn.Conv2d(3, 4, 3, stride=2), NormAct(4)),
    "two": (nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.SiLU(inplace=True), conv(), NormAct(4)),
}


@pytest.mark.parametrize("parts", FOLDED.values(), ids=FOLDED)
def test_a_folded_backbone_holds_on_to_nothing_that_it_has_seen(parts: Iterable[nn.Module]) -> None:
    found = fold(lived(Pooled(*parts)), SIZE).module
    seen: list[weakref.ref[Tensor]] = []

    def note(_part: nn.Module, _given: object, out: Tensor) -> None:
        seen.append(weakref.ref(out))

    for part in found.modules():
        if isinstance(part, nn.Conv2d):
            part.register_forward_hook(note)
    found(torch.randn(2, 3, *SIZE))
    assert seen
    assert not any(one() is not None for one in seen)


@pytest.mark.parametrize("parts", FOLDED.values(), ids=FOLDED)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_folded_backbone_gives_the_same_features(
    parts: Iterable[nn.Module], layout: torch.memory_format
) -> None:
    backbone = lived(Pooled(*parts)).to(memory_format=layout)  # type: ignore[no-matching-overload]
    before = fingerprint(backbone)
    found = fold(backbone, SIZE)
    assert (found.pairs, norms(found.module)) == (norms(backbone), 0)
    images = torch.randn(5, 3, *SIZE).to(memory_format=layout)
    with torch.inference_mode():
        torch.testing.assert_close(found.module(images), backbone(images), rtol=1e-4, atol=1e-5)
    assert fingerprint(backbone) == before
    assert all(
        part.weight.is_contiguous(memory_format=layout)
        for part in found.module.modules()
        if isinstance(part, nn.Conv2d)
    )


class Uncopied(Pooled):
    """Holds a tensor that came out of a computation, which nothing can copy."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__(*parts)
        self.made = torch.ones(1, requires_grad=True) * 2


UNFOLDED = {
    "cannot be copied": Uncopied(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
    "the norm is something else": Pooled(nn.Conv2d(3, 4, 3), Doubled(4)),
    "the convolution is something else": Pooled(Standard(3, 4, 3), nn.BatchNorm2d(4)),
    "used twice": Twice(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)),
    "something between": Pooled(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
    "of the batch": Pooled(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
    "read beside": Beside(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
    "looked into": Asks(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)),
}


@pytest.mark.parametrize("backbone", UNFOLDED.values(), ids=UNFOLDED)
def test_what_cannot_be_folded_is_left_as_it_is_and_told(backbone: nn.Module) -> None:
    statistics = all(
        one.running_mean is not None
        for one in backbone.modules()
        if isinstance(one, nn.BatchNorm2d)
    )
    found = fold(lived(backbone) if statistics else backbone.eval(), SIZE)
    assert found.module is backbone
    assert found.pairs == 0
    assert found.refused


def test_one_pair_that_cannot_be_folded_does_not_keep_the_others() -> None:
    parts = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Standard(4, 4, 3), nn.BatchNorm2d(4))
    backbone = lived(Pooled(*parts))
    found = fold(backbone, SIZE)
    assert (found.pairs, norms(found.module), found.refused) == (1, 1, "")


BF16 = {"device_type": "cpu", "dtype": torch.bfloat16}


class Coarse(nn.Conv2d):
    """Under autocast its weights are rounded to steps of a half, so that small ones are gone."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        fine = not torch.is_autocast_enabled("cpu")
        weight = self.weight if fine else (self.weight * 2).round() / 2
        return self._conv_forward(input, weight, self.bias)


def small(norm: nn.Module) -> nn.Module:
    """With a factor that brings weights of about 3 below a quarter."""
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.constant_(norm.weight, 0.05)
    return norm


@pytest.mark.parametrize("parts", FOLDED.values(), ids=FOLDED)
def test_in_bfloat16_a_backbone_is_folded_where_rounding_is_all_that_differs(
    parts: Iterable[nn.Module],
) -> None:
    backbone = lived(Pooled(*parts))
    with torch.autocast(**BF16):
        found = fold(backbone, SIZE)
    assert (found.pairs, found.refused) == (norms(backbone), "")


def test_what_folds_in_float32_alone_is_not_folded_where_bfloat16_computes() -> None:
    backbone = Pooled(Coarse(3, 4, 3), small(nn.BatchNorm2d(4))).eval()
    nn.init.uniform_(backbone.get_parameter("parts.0.weight"), 2, 4)
    assert fold(backbone, SIZE).pairs == 1
    with torch.autocast(**BF16):
        found = fold(backbone, SIZE)
    assert (found.module, found.pairs) == (backbone, 0)
    assert found.refused.startswith("in bfloat16 the features would be 10")


def test_features_that_are_no_numbers_in_bfloat16_are_not_folded() -> None:
    class Overflows(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
            out = super().forward(input)
            folded = self.bias is not None
            return out * torch.nan if folded and torch.is_autocast_enabled("cpu") else out

    backbone = lived(Pooled(Overflows(3, 4, 3, bias=False), nn.BatchNorm2d(4)))
    assert fold(backbone, SIZE).pairs == 1
    with torch.autocast(**BF16):
        assert fold(backbone, SIZE).refused.startswith("in bfloat16 the features would be nan% off")


def test_without_batch_norms_no_image_is_looked_at() -> None:
    class Never(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise AssertionError(images)

    backbone = Never()
    found = fold(backbone, SIZE)
    assert (found.module, found.pairs, found.refused) == (backbone, 0, "")


# in a run


def card(run: Path) -> dict[str, Any]:
    return json.loads((run / "model" / "model.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.usefixtures("tiny")
def test_a_frozen_backbone_computes_folded_and_is_saved_as_it_was(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain: list[int] = []
    forward = nn.BatchNorm2d.forward

    def counting(norm: nn.BatchNorm2d, given: Tensor) -> Tensor:
        plain.append(len(given))
        return forward(norm, given)

    monkeypatch.setattr(nn.BatchNorm2d, "forward", counting)
    done = train(images, tmp_path / "run")
    assert [count for count in plain if count != 2] == [1]  # the proof of the plan sees two
    assert done.summary["train"]["folded"] is True
    assert done.summary["train"]["frozen"]["verified"]
    assert card(done.folder)["folded"] is True
    loaded = zoo.load(done.folder, device="cpu")
    assert "backbone.norm.running_var" in loaded.model.state_dict()
    assert evaluate(done.folder, images, device="cpu")["top1"] == done.summary["val"]["top1"]
    plain.clear()
    loaded(sorted(images.rglob("*.png")))
    assert plain == [1]


@pytest.mark.usefixtures("tiny")
def test_features_that_were_not_computed_folded_are_not_taken_for_those_that_were(
    images: Path, tmp_path: Path, train: Train
) -> None:
    recipes = []
    for name, mode in (("a", "lpft"), ("b", "probe")):
        train(images, tmp_path / name, train=mode, epochs=1, probe__epochs=1)
        kept = (folders.cache() / "features").iterdir()
        recipes.append(
            sorted(json.loads((one / "recipe.json").read_text())["folded"] for one in kept)
        )
    assert recipes == [[""], ["", RULE]]


@pytest.mark.usefixtures("tiny")
def test_a_run_says_why_nothing_was_folded(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ear(Silent):
        def note(self, line: str) -> None:
            notes.append(line)

    notes: list[str] = []
    monkeypatch.setattr("zoo.training.fold._TOLERANCE", -1.0)
    done = train(images, tmp_path / "run", listener=Ear())
    told = (
        "folding: no BatchNorm follows a convolution alone; the backbone computes as it was built"
    )
    assert notes.count(told) == 1
    assert evaluate(done.folder, images, device="cpu")["top1"] == done.summary["val"]["top1"]


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("mode", ["lpft", "full"])
def test_a_backbone_that_is_trained_is_not_folded(
    images: Path, tmp_path: Path, train: Train, mode: str
) -> None:
    done = train(images, tmp_path / "run", train=mode, epochs=1)
    assert done.summary["train"]["folded"] is False
    assert card(done.folder)["folded"] is False
    assert not zoo.load(done.folder, device="cpu").model.folds


def test_a_model_that_moves_is_folded_anew() -> None:
    def nobody(_: str) -> AbstractContextManager[None]:
        return nullcontext()

    model = Model(lived(Pooled(*FOLDED["plain"])), nn.Linear(4, 2), (nobody, nobody))
    model.folds = True
    with torch.inference_mode():
        model.raw_features(torch.randn(2, 3, *SIZE))
        first = model.folding
        model.double()
        assert model.folding is None
        model.raw_features(torch.randn(2, 3, *SIZE, dtype=torch.float64))
    assert first is not None
    assert model.folding is not None
    assert model.folding.module is not first.module
    assert next(model.folding.module.parameters()).dtype == torch.float64
