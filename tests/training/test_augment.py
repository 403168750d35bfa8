from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms.v2 import functional

from zoo.data.augment import Parameters, Recipe, draw
from zoo.data.preprocess import resampling
from zoo.training import augment
from zoo.training.augment import by_kernel, by_matrices, planned, view, views

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.components import Interpolation

SIDE = 60
#: x0, y0, x1, y1: inside, in two corners, a sliver, one pixel, all
CROPS = np.array(
    [
        [9, 5, 52, 41],
        [0, 0, 17, 33],
        [43, 20, 60, 60],
        [3, 58, 59, 60],
        [7, 8, 8, 9],
        [0, 0, 60, 60],
    ]
)
#: (height, width): smaller, odd, larger than most crops, and larger than all
SIZES = [(16, 16), (13, 31), (48, 40), (75, 90)]
ORDERS = np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
        ],
    ),
]


def pictures(count: int, side: int = SIDE) -> Tensor:
    """Waves, with noise on half of each: smooth and hard to resize."""
    y, x = np.mgrid[:side, :side] / side
    noise = np.random.default_rng(0).integers(0, 256, (count, side, side, 3))
    waves = np.stack([128 + 127 * np.sin(9 * x + 4 * y), 255 * x, 255 * y * (1 - x)], -1)
    return torch.from_numpy(np.where((x + y > 1)[..., None], noise, waves).astype(np.uint8))


def filled(canvases: Tensor) -> np.ndarray:
    """(height, width) of canvases that fill their array `[N, 2]`."""
    return np.tile(np.array(canvases.shape[1:3]), (len(canvases), 1))


def parameters(
    crops: np.ndarray = CROPS,
    *,
    flip: bool = False,
    factors: object = 1.0,
    order: object = (0, 1, 2),
) -> Parameters:
    """One view for each crop."""
    count = len(crops)
    return Parameters(
        box=crops[:, None] / SIDE,
        flip=np.full((count, 1), flip),
        factors=np.broadcast_to(np.array(factors, float), (count, 3))[:, None],
        order=np.broadcast_to(np.array(order), (count, 3))[:, None],
    )


def torchvision_crop(
    picture: Tensor, crop: np.ndarray, size: tuple[int, int], interpolation: Interpolation
) -> Tensor:
    """Of uint8 or float `[H, W, 3]`: `[3, height, width]`."""
    x0, y0, x1, y1 = crop.tolist()
    mode = transforms.InterpolationMode(interpolation)
    return functional.resized_crop(
        picture.permute(2, 0, 1), y0, x0, y1 - y0, x1 - x0, list(size), mode, antialias=True
    )


# resize


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_on_a_processor_a_crop_is_torchvision_s_bit_for_bit(
    interpolation: Interpolation, size: tuple[int, int]
) -> None:
    canvases = pictures(len(CROPS))
    made = views(canvases, filled(canvases), parameters(), size, interpolation)
    for one, picture, crop in zip(made, canvases, CROPS, strict=True):
        expected = torchvision_crop(picture, crop, size, interpolation)
        assert torch.equal(one, expected.float())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("precision", "level"), [(torch.float32, 1e-3), (torch.float16, 0.3)])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_by_matrices_a_crop_is_that_of_torchvision_for_floats(
    interpolation: Interpolation, size: tuple[int, int], precision: torch.dtype, level: float,
    device: str,
) -> None:  # fmt: skip
    canvases = pictures(len(CROPS)).to(device)
    still = np.zeros(len(CROPS), bool)
    made = by_matrices(canvases, CROPS, still, size, interpolation, precision)
    for one, picture, crop in zip(made, canvases, CROPS, strict=True):
        expected = torchvision_crop(picture.float(), crop, size, interpolation).clamp(0, 255)
        assert float((one - expected).abs().max()) < level


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_both_ways_to_resize_differ_by_no_more_than_whole_levels_do(
    interpolation: Interpolation,
) -> None:
    """Torch's kernel rounds and cuts between rows and columns."""
    canvas = pictures(1)
    for crop in CROPS:
        for size in SIZES:
            kernel = by_kernel(canvas, crop, size, interpolation, flip=False).float()
            matrix = by_matrices(canvas, crop[None], np.array([False]), size, interpolation)
            gap = (kernel - matrix).abs()
            assert float(gap.mean()) < 0.5
            if interpolation == "bilinear":  # whose weights are positive: no level is cut off
                assert float(gap.max()) <= 1.5


@pytest.mark.parametrize(
    "interpolation", ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
)
def test_every_filter_is_pillow_s(interpolation: Interpolation) -> None:
    """Which rounds between columns and rows; no level here goes beyond what it would cut off."""
    canvas = pictures(1) // 2 + 64
    for crop in CROPS:
        x0, y0, x1, y1 = crop.tolist()
        for side in (16, 64):  # no pixel lies half-way between two of any crop
            image = Image.fromarray(canvas[0, y0:y1, x0:x1].numpy())
            expected = np.asarray(image.resize((side, side), resampling(interpolation)))
            found = by_matrices(canvas, crop[None], np.array([False]), (side, side), interpolation)
            gap = np.abs(found[0].permute(1, 2, 0).numpy() - expected)
            assert gap.max() <= 1.5
            assert gap.mean() < 0.5


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_a_whole_canvas_of_the_same_size_is_itself(interpolation: Interpolation) -> None:
    canvas = pictures(1)
    made = views(canvas, filled(canvas), parameters(CROPS[-1:]), (SIDE, SIDE), interpolation)
    assert torch.equal(made[0].round(), canvas[0].permute(2, 0, 1).float())


@pytest.mark.parametrize("interpolation", ["bilinear", "lanczos"])
@pytest.mark.parametrize("device", DEVICES)
def test_a_flip_mirrors_left_and_right(interpolation: Interpolation, device: str) -> None:
    canvases = pictures(len(CROPS)).to(device)
    plain = views(canvases, filled(canvases), parameters(), (24, 17), interpolation)
    flipped = views(canvases, filled(canvases), parameters(flip=True), (24, 17), interpolation)
    assert float((flipped - plain.flip(-1)).abs().max()) < 0.3
    assert not torch.equal(flipped, plain)


# colours


def torchvision_jitter(image: Tensor, factors: list[float], order: list[int]) -> Tensor:
    """Of levels 0 to 1, or of bytes."""
    changes: tuple[Any, ...] = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
    )
    for which in order:
        image = changes[which](image, factors[which])
    return image


FACTORS = [(1.2, 0.8, 1.5), (0.7, 1.6, 0.3), (1.9, 1.9, 1.9), (0.0, 1.3, 1.0), (1.0, 1.0, 0.4)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("order", ORDERS.tolist())
@pytest.mark.parametrize("factors", FACTORS)
def test_colours_change_as_torchvision_changes_them(
    factors: tuple[float, float, float], order: list[int], device: str
) -> None:
    canvas = pictures(1).to(device)
    drawn = parameters(CROPS[-1:], factors=factors, order=order)
    made = views(canvas, filled(canvas), drawn, (SIDE, SIDE), "bilinear")[0]
    plain = canvas[0].permute(2, 0, 1)
    # With floats: but for what red adds to grey, 0.2989 there.
    floats = torchvision_jitter(plain / 255, list(factors), order) * 255
    assert float((made - floats).abs().max()) < 0.2
    # With bytes: theirs are cut to whole levels after each of up to three changes, ours never.
    whole = torchvision_jitter(plain, list(factors), order).float()
    gap = made - whole
    assert float(gap.abs().mean()) < 2.5
    assert float(gap.abs().max()) < 8


@pytest.mark.parametrize("device", DEVICES)
def test_each_view_of_a_batch_has_its_own_parameters(device: str) -> None:
    """Six views, of six orders, beside each alone."""
    canvases = pictures(len(CROPS)).to(device)
    factors = np.array([*FACTORS, (0.5, 0.5, 0.5)])
    drawn = parameters(factors=factors, order=ORDERS)
    whole = views(canvases, filled(canvases), drawn, (24, 24), "bicubic")
    for place in range(len(CROPS)):
        one = slice(place, place + 1)
        alone = views(canvases[one], filled(canvases[one]), drawn.some(one), (24, 24), "bicubic")
        assert float((alone[0] - whole[place]).abs().max()) < (0.01 if device == "cuda" else 1e-9)


def test_on_a_processor_the_bits_of_a_view_are_the_same_in_every_batch() -> None:
    canvases = pictures(32)
    for interpolation in ("bilinear", "lanczos"):
        drawn = draw(
            Recipe(), seed=0, phase="full", epoch=0, samples=np.arange(32), views=2,
            aspects=np.ones(32),
        )  # fmt: skip
        whole = views(canvases, filled(canvases), drawn, (29, 24), interpolation).view(
            32, 2, 3, 29, 24
        )
        assert whole.shape == (32, 2, 3, 29, 24)
        for some in (slice(0, 1), slice(31, 32), slice(3, 10)):
            part = views(
                canvases[some], filled(canvases[some]), drawn.some(some), (29, 24), interpolation
            )
            assert torch.equal(part.view(-1, 2, 3, 29, 24), whole[some])


def test_the_batch_and_the_pictures_of_a_processor_differ_by_rounding_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The accelerator's way, computed on the processor."""
    canvases = pictures(8)
    drawn = draw(
        Recipe(), seed=0, phase="full", epoch=0, samples=np.arange(8), views=3, aspects=np.ones(8)
    )
    for interpolation in ("bilinear", "bicubic"):
        one_by_one = views(canvases, filled(canvases), drawn, (24, 29), interpolation)
        monkeypatch.setattr(augment, "_in_one", bool)
        at_once = views(canvases, filled(canvases), drawn, (24, 29), interpolation)
        monkeypatch.undo()
        gap = (at_once - one_by_one).abs()
        assert float(gap.mean()) < 1
        if interpolation == "bilinear":
            assert float(gap.max()) < 3


@pytest.mark.parametrize(
    ("factors", "passes"),
    [
        ((1.0, 1.0, 1.0), 1),
        ((0.5, 0.8, 0.3), 1),
        ((0.5, 0.8, 1.3), 1),
        ((1.2, 0.8, 0.5), 2),
        ((1.2, 0.8, 1.5), 2),
        ((1.2, 1.1, 1.5), 3),
    ],
)
def test_a_processor_goes_over_a_picture_once_for_each_turn_after_which_levels_are_cut_off(
    monkeypatch: pytest.MonkeyPatch, factors: tuple[float, float, float], passes: int
) -> None:
    seen, product = [0], torch.addmm

    def counting(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - passed on
        seen[0] += 1
        return product(*given, **named)

    monkeypatch.setattr(torch, "addmm", counting)
    views(
        pictures(1),
        filled(pictures(1)),
        parameters(CROPS[:1], factors=factors),
        (16, 16),
        "bilinear",
    )
    assert seen[0] == passes


def test_a_view_comes_out_scaled_and_shifted_as_it_is_asked_for() -> None:
    drawn = parameters(factors=(1.4, 1.3, 1.6), order=ORDERS)
    plain = views(pictures(6), filled(pictures(6)), drawn, (16, 16), "bilinear")
    scale, shift = np.array([0.5, 2, 1]), np.array([3, 0, -7.0])
    work = planned(drawn, filled(pictures(6)))
    for place, (canvas, levels) in enumerate(zip(pictures(6), plain, strict=True)):
        found = view(canvas, work, place, (16, 16), "bilinear", (scale, shift))[0]
        expected = levels * torch.tensor(scale).view(3, 1, 1) - torch.tensor(shift).view(3, 1, 1)
        assert torch.allclose(found.double(), expected, rtol=0, atol=1e-3)
