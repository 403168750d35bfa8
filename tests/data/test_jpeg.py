"""Pillow is the measure: what decodes faster must give its bytes, and refuse what it refuses."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from zoo.data import decode, jpeg
from zoo.data.decode import Undecodable, decode_scaled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

pytest.importorskip("simplejpeg")

#: of 1 to 90 pixels, which blocks of 8 and 16 divide or not
SIDES = st.integers(1, 90)
KINDS = st.fixed_dictionaries(
    {
        "quality": st.sampled_from([1, 30, 75, 90, 100]),
        "progressive": st.booleans(),
        "optimize": st.booleans(),
        "colours": st.sampled_from(["4:4:4", "4:2:2", "4:2:0", "rgb"]),
        "restart_marker_blocks": st.sampled_from([0, 3]),
    }
)


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """Decoders are compared again."""
    jpeg._decoder.cache_clear()  # noqa: SLF001 - once in a process otherwise
    yield
    jpeg._decoder.cache_clear()  # noqa: SLF001


def stored(width: int, height: int, seed: int = 0, **kind: Any) -> bytes:  # noqa: ANN401 - Pillow's
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", **kind)
    return stream.getvalue()


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(BytesIO(data)))


def outcome(data: bytes) -> NDArray[np.uint8] | str:
    """The levels, or what is wrong."""
    try:
        return decode_scaled(BytesIO(data), 0).levels
    except Undecodable as error:
        return error.reason


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "decode_jpeg", None)
    jpeg._decoder.cache_clear()  # noqa: SLF001


@given(SIDES, SIDES, st.integers(0, 9), KINDS)
def test_levels_are_pillows(width: int, height: int, seed: int, kind: dict[str, Any]) -> None:
    colours = kind.pop("colours")
    stands = {"keep_rgb": True} if colours == "rgb" else {"subsampling": colours}
    data = stored(width, height, seed, **stands, **kind)
    found = jpeg.levels(data, (width, height))
    assert found is not None
    assert np.array_equal(found, by_pillow(data))


def test_an_upright_jpeg_of_colours_is_decoded_so_and_others_are_left_to_pillow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []

    def noting(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
        asked.append(size)
        return jpeg.levels(data, size)

    monkeypatch.setattr(decode, "levels", noting)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned, grey, large = BytesIO(stored(40, 30, exif=exif)), BytesIO(), stored(640, 480)
    Image.new("L", (40, 30), 7).save(grey, "JPEG")
    assert decode_scaled(BytesIO(stored(40, 30)), 0).size == (40, 30)
    assert decode_scaled(turned, 0).size == (30, 40)
    assert decode_scaled(grey, 0).levels.tolist()[0][0] == [7, 7, 7]
    assert decode_scaled(BytesIO(large), 100).reduced > 1
    assert asked == [(40, 30)]


@pytest.mark.parametrize("progressive", [False, True])
def test_damaged_files_end_as_with_pillow_alone(
    *, progressive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stored(48, 40, quality=60, progressive=progressive)
    draw = np.random.default_rng(0)
    damaged = [whole[:cut] for cut in range(2, len(whole), 97)]
    for _ in range(150):
        bytes_ = bytearray(whole)
        for place in draw.integers(2, len(whole), draw.integers(1, 4)).tolist():
            bytes_[place] = int(draw.integers(256))
        damaged.append(bytes(bytes_))
    damaged += [whole + b"\0" * 9, whole[:-2], whole[:-2] + whole]
    fast = [outcome(data) for data in damaged]
    without(monkeypatch)
    slow = [outcome(data) for data in damaged]
    assert sum(isinstance(one, str) for one in slow) > len(damaged) / 10
    for one, other in zip(fast, slow, strict=True):
        assert np.array_equal(one, other)


def test_a_decoder_that_gives_other_bytes_than_pillow_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real: Any = jpeg.decode_jpeg

    def brighter(data: bytes, colours: str) -> NDArray[np.uint8]:
        return np.maximum(real(data, colours), 1)

    data = stored(40, 30)
    assert jpeg.levels(data, (40, 30)) is not None
    monkeypatch.setattr(jpeg, "decode_jpeg", brighter)
    jpeg._decoder.cache_clear()  # noqa: SLF001
    assert jpeg.levels(data, (40, 30)) is None
    assert np.array_equal(outcome(data), by_pillow(data))


def test_where_it_is_not_installed_pillow_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    data = stored(40, 30)
    assert jpeg.levels(data, (40, 30)) is None
    assert np.array_equal(outcome(data), by_pillow(data))
