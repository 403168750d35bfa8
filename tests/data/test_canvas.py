from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.data.pictures import smooth_jpeg
from zoo.data import canvas as module
from zoo.data.canvas import MOST, canvas, filled, least, row_bytes, shape, shapes
from zoo.data.decode import Decoded, decode, decode_scaled
from zoo.data.preprocess import prepare

if TYPE_CHECKING:
    from pathlib import Path


def stored(width: int, height: int, format_: str) -> bytes:
    """A picture in a file's bytes."""
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 100, 50)).save(stream, format_)
    return stream.getvalue()


def made(picture: Image.Image, side: int) -> np.ndarray:
    return canvas(Decoded(picture, picture.size, animated=False, reducible=False), side)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (433, 433), (60, 40), (1, 1)])
def test_an_ordinary_picture_is_its_own_canvas(tmp_path: Path, size: tuple[int, int]) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", *size)
    found = prepare(path.read_bytes(), None, 336).canvas
    assert found is not None
    assert np.array_equal(found, np.asarray(decode(path)))


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (1600, 1200), (1801, 1203)])
def test_a_large_picture_is_averaged_over_blocks(size: tuple[int, int]) -> None:
    high, wide = shape(size, 336)
    by = round(size[0] / wide)
    assert (wide, high) == (-(-size[0] // by), -(-size[1] // by))
    assert 336**2 <= high * wide <= MOST * 336**2


@pytest.mark.parametrize("size", [(640, 480), (800, 500), (5000, 336), (20, 3000), (3000, 1)])
def test_what_neither_fits_nor_divides_is_squashed(size: tuple[int, int]) -> None:
    assert shape(size, 336) == (336, 336)
    assert made(Image.new("RGB", size), 336).shape == (336, 336, 3)


def test_a_canvas_holds_the_whole_picture() -> None:
    for size in ((300, 100), (640, 480), (900, 900)):
        width, height = size
        image = Image.new("RGB", size, "black")
        image.paste((255, 255, 255), (width // 2, 0, width, height))
        found = made(image, 64)
        middle = found.shape[1] // 2
        assert found.shape[:2] == shape(size, 64)
        assert found[:, : middle - 2].max() < 10
        assert found[:, middle + 2 :].min() > 245


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)),
    st.integers(1, 60),
    st.sampled_from(["JPEG", "PNG"]),
)
@example((801, 603), 37, "JPEG")
@example((1, 900), 8, "JPEG")
def test_a_shape_follows_from_the_size_alone_and_fits_into_its_row(
    size: tuple[int, int], side: int, format_: str
) -> None:
    found = prepare(stored(*size, format_), None, side).canvas
    assert found is not None
    assert found.shape == (*shape(size, side), 3)
    assert found.nbytes == filled(size, side) <= row_bytes(side)
    assert max(found.shape) <= max(2 * side, 3)
    assert shapes([size, size], side).tolist() == [list(shape(size, side))] * 2


def test_no_picture_has_no_shape() -> None:
    assert shapes([], 336).shape == (0, 2)


@pytest.mark.parametrize("size", [(1600, 1104), (1500, 1000)], ids=["averaged", "squashed"])
def test_a_reduced_jpeg_leaves_no_trace_in_the_canvas(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", *size)
    assert decode_scaled(path, least(64)).reduced > 1
    reduced = prepare(path.read_bytes(), None, 64).canvas
    assert reduced is not None
    assert np.abs(reduced.astype(int) - made(decode(path), 64)).max() <= 3


def test_a_file_that_is_not_reduced_as_it_was_asked_to_gives_the_same_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = smooth_jpeg(tmp_path / "x.jpg", 1600, 1104)
    expected = prepare(path.read_bytes(), None, 64).canvas
    assert expected is not None

    def as_it_is(*_: object) -> None:
        pass

    monkeypatch.setattr("PIL.JpegImagePlugin.JpegImageFile.draft", as_it_is)
    whole = prepare(path.read_bytes(), None, 64).canvas
    assert whole is not None
    assert whole.shape == expected.shape
    assert np.abs(whole.astype(int) - expected).max() <= 3


def test_rows_have_room_for_photographs_of_500_by_375() -> None:
    assert module.filled((500, 375), 336) == 500 * 375 * 3 <= row_bytes(336)
