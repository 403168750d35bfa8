"""Group A of the fault matrix: bad images."""

from __future__ import annotations

import json
import os
import time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from . import corpus
from .conftest import RUN, read, refused_then_skipped, tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Zoo

    Children = Callable[[str], None]

JPEG = corpus.saved(corpus.picture(), "JPEG")
PNG = corpus.saved(corpus.picture(), "PNG")


BAD = {
    "A1-zero": (b"", "an empty file"),
    "A2-cut-10": (JPEG[: len(JPEG) // 10], ""),
    "A2-cut-50": (JPEG[: len(JPEG) // 2], "runcated"),
    "A2-cut-99": (JPEG[: len(JPEG) * 99 // 100], "runcated"),
    "A2-cut-50-png": (PNG[: len(PNG) // 2], ""),
    "A3-random": (bytes(range(256)) * 20, "no picture in a known format"),
    "A3-html": (b"<!DOCTYPE html><html>", "a web page"),
    "A3-lfs": (corpus.LFS, "git lfs pull"),
    "A4-eps": (corpus.saved(corpus.picture(), "EPS"), "no picture in a known format"),
    "A4-psd": (corpus.FOREIGN["PSD"], "no picture in a known format"),
    "A4-fits": (corpus.FOREIGN["FITS"], "no picture in a known format"),
    "A4-fpx": (corpus.FOREIGN["FPX"], "no picture in a known format"),
}


@pytest.mark.parametrize(("data", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_whole_picture_is_refused_or_skipped(
    zoo: Zoo, images: Path, data: bytes, reason: str
) -> None:
    (images / "ant" / "x.jpg").write_bytes(data)
    (images / "cat" / "y.png").write_bytes(data + b"\n" if data else data)
    refused_then_skipped(zoo, "ant/x.jpg", "cat/y.png", reason=reason)


def test_a1_a_class_of_nothing_but_bad_images_is_not_trained_without(
    zoo: Zoo, images: Path
) -> None:
    for path in (images / "bee").iterdir():
        path.write_bytes(b"")
    ended = zoo(*RUN, "--bad-images", "skip")
    assert ended.code == 65
    assert "No training image is left of: bee." in ended.err
    assert not Path("out").exists()


def test_a3_a_long_list_of_bad_images_is_given_whole(zoo: Zoo, images: Path) -> None:
    for number in range(100):
        (images / "ant" / f"bad{number}.jpg").write_bytes(b"no picture")
    ended = zoo(*RUN)
    assert ended.code == 65
    assert all(f"ant/bad{number}.jpg: " in ended.err for number in range(100))


def test_a4_ghostscript_is_never_started(
    zoo: Zoo, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import EpsImagePlugin

    started: list[object] = []

    def start(*given: object, **_: object) -> None:
        started.append(given)

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", start)
    Image.init()  # every format of Pillow's is known
    (images / "ant" / "x.png").write_bytes(corpus.saved(corpus.picture(), "EPS"))
    assert zoo(*RUN).code == 65
    assert started == []


def test_a4_a_tiff_called_png_is_judged_by_its_content(zoo: Zoo, images: Path) -> None:
    (images / "ant" / "x.png").write_bytes(corpus.saved(corpus.picture(), "TIFF"))
    assert zoo(*RUN).code == 0
    assert any(one["name"] == "ant/x.png" for one in read("split.json")["files"])


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a5_bombs_take_little_time_and_memory(zoo: Zoo, images: Path, children: Children) -> None:
    # sharper than what a run allows, so that what passes here is far from that limit
    children("worker.MEMORY = 500 << 20")
    bombs = dict(corpus.bombs())
    for name, data in bombs.items():
        (images / "ant" / name).write_bytes(data)
    began = time.monotonic()
    ended = zoo(*RUN)
    assert time.monotonic() - began < 2 * len(bombs)
    assert ended.code == 65
    assert all(f"ant/{name}: " in ended.err for name in bombs)
    assert "kills" not in ended.err
    assert "too much memory" not in ended.err
    assert not Path("out").exists()


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a6_stuffed_files_are_accepted_or_listed_in_bounded_memory(
    zoo: Zoo, images: Path, children: Children
) -> None:
    children("worker.MEMORY = 500 << 20")
    stuffed = dict(corpus.stuffed())
    for name, data in stuffed.items():
        (images / "ant" / name).write_bytes(data)
    ended = zoo(*RUN, "--bad-images", "skip")
    assert ended.code == 0
    assert "kills" not in ended.err
    assert "too much memory" not in ended.err
    listed = {f"ant/{name}" for name in stuffed if f"images/ant/{name}: " in ended.err}
    kept = {one["name"] for one in read("split.json")["files"]}
    assert "ant/text-one-swollen.png" in listed
    assert "ant/trailing-1-MB.jpg" in kept
    assert {f"ant/{name}" for name in stuffed} == listed | (kept & {f"ant/{n}" for n in stuffed})
    assert not listed & kept


def probabilities(zoo: Zoo, *names: str) -> list[np.ndarray]:
    """What the run `out` says of files in ./new, by `zoo predict`."""
    ended = zoo("predict", "out", *(Path("new", name) for name in names), "--json")
    assert ended.code == 0, ended.err
    return [np.array([*one["probabilities"].values()]) for one in json.loads(ended.out)]


@pytest.fixture
def new(zoo: Zoo, images: Path) -> Path:
    """A run `out`, and a folder for files to ask it about."""
    del images
    assert zoo(*RUN).code == 0
    Path("new").mkdir()
    return Path("new")


STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "jpg"])
def test_a7_every_orientation_is_the_same_picture(zoo: Zoo, new: Path, suffix: str) -> None:
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    if suffix == "jpg":
        options = {"quality": 100, "subsampling": 0}
    names = []
    for orientation in range(1, 9):
        upright = corpus.picture()
        exif = Image.Exif()
        exif[corpus.ORIENTATION] = orientation
        stored = upright.transpose(STORED[orientation]) if orientation > 1 else upright
        names.append(f"{orientation}.{suffix}")
        kind = corpus.FORMATS[suffix]
        (new / names[-1]).write_bytes(corpus.saved(stored, kind, exif=exif, **options))
    first, *others = probabilities(zoo, *names)
    for other in others:
        if suffix == "jpg":  # it is not lossless, and its blocks are turned with the picture
            assert np.allclose(first, other, atol=5e-3)
        else:
            assert np.array_equal(first, other)


@pytest.mark.parametrize(
    ("mode", "like", "suffix"),
    [
        pytest.param(mode, like, suffix, id=f"A8-{mode}-{suffix}")
        for mode, like, suffix in [
            ("1", "1", "png"),
            ("L", "L", "png"),
            ("LA", "LA", "png"),
            ("P", "P", "png"),
            ("RGBA", "RGBA", "png"),
            ("I;16", "L", "png"),
            ("I;16", "L", "tif"),
            ("F", "L", "tif"),
            ("CMYK", "RGB", "tif"),
            ("YCbCr", "RGB", "tif"),
            ("LAB", "RGB", "tif"),
        ]
    ],
)
def test_every_mode_becomes_rgb_by_the_written_rule(
    zoo: Zoo, new: Path, mode: str, like: str, suffix: str
) -> None:
    image = corpus.of_mode(like)
    if like in {"LA", "RGBA"}:  # composited onto white
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    (new / "plain.png").write_bytes(corpus.saved(image.convert("RGB"), "PNG"))
    (new / f"x.{suffix}").write_bytes(corpus.saved(corpus.of_mode(mode), corpus.FORMATS[suffix]))
    plain, other = probabilities(zoo, "plain.png", f"x.{suffix}")
    if mode in {"YCbCr", "LAB"}:  # stored rounded
        assert np.allclose(plain, other, atol=1e-2)
    else:
        assert np.array_equal(plain, other)


def test_a8_floats_whose_brightness_nobody_knows_are_listed(zoo: Zoo, images: Path) -> None:
    values = np.linspace(-3, 900, 32 * 32, dtype=np.float32).reshape(32, 32)
    (images / "ant" / "x.tif").write_bytes(corpus.saved(Image.fromarray(values), "TIFF"))
    refused_then_skipped(zoo, "ant/x.tif", reason="floats outside of 0..1")


def test_a9_the_first_frame_counts_and_animations_are_counted(zoo: Zoo, images: Path) -> None:
    names = corpus.named("frames.")
    for name, data in names.items():
        (images / "ant" / name).write_bytes(data)
    ended = zoo(*RUN)
    assert ended.code == 0
    assert f"{len(names)} files hold several frames or pages" in ended.err
    kept = {one["name"] for one in read("split.json")["files"]}
    assert {f"ant/{name}" for name in names} <= kept


def test_a9_an_animation_is_its_first_frame(zoo: Zoo, new: Path) -> None:
    frames = [corpus.picture(seed=seed).quantize(64).convert("RGB") for seed in range(3)]
    for name, kind in (("x.png", "PNG"), ("x.webp", "WEBP"), ("x.tif", "TIFF")):
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        data = corpus.saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        (new / name).write_bytes(data)
    (new / "first.png").write_bytes(corpus.saved(frames[0], "PNG"))
    first, *others = probabilities(zoo, "first.png", "x.png", "x.webp", "x.tif")
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("train", ["probe", "full"])
def test_a10_strips_and_single_pixels_are_trained_on(zoo: Zoo, images: Path, train: str) -> None:
    for name, data in corpus.shapes():
        (images / "ant" / name).write_bytes(data)
    ended = zoo(*RUN, "--train", train, "--epochs", "1")
    assert ended.code == 0
    assert "skipped" not in ended.err


def test_the_data_are_seen_to_change_where_they_do(images: Path) -> None:
    """The check behind every case of this matrix, checked."""
    before = tree(images)
    (images / "ant" / "0.png").touch()
    assert tree(images) != before
    assert BytesIO(JPEG).read(2) == b"\xff\xd8"
