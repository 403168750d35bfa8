"""More than a thousand damaged files, decoded as a run decodes them: none ends the process."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from zoo.components import Preprocess
from zoo.data import ingest as room
from zoo.data import pool
from zoo.data.ingest import Images, ingest

from . import corpus
from .conftest import RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .conftest import Zoo

    Children = Callable[[str], None]

#: no file may take longer, seconds
PATIENCE = 10.0


def judge(paths: Sequence[Path], scratch: Path) -> Images:
    """Decode files in children, as a run does."""
    everyone = [True] * len(paths)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "in_children", partial(pool.in_children, patience=PATIENCE))
        return ingest(
            paths,
            preprocess=Preprocess(size=(32, 32), resize=(36, 36)),
            want_pixels=everyone,
            want_canvas=everyone,
            canvas_side=48,
            scratch=scratch,
        )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], Images]:
    folder = tmp_path_factory.mktemp("corpus")
    paths = corpus.write(folder / "files")
    return paths, judge(paths, folder / "scratch")


def test_every_file_is_accepted_or_listed_with_a_reason(
    judged: tuple[list[Path], Images],
) -> None:
    paths, images = judged
    assert len(paths) >= 1000
    listed = {problem.index for problem in images.problems}
    for index, path in enumerate(paths):
        accepted = images.pixels_row[index] >= 0 and images.sizes[index].min() > 0
        assert accepted != (index in listed), path.name
    assert all(problem.reason and "\n" not in problem.reason for problem in images.problems)


def test_no_file_ends_its_child_or_takes_too_long(judged: tuple[list[Path], Images]) -> None:
    _, images = judged
    fatal = [one for one in images.problems if "kills" in one.reason or "too long" in one.reason]
    assert fatal == []


@pytest.mark.parametrize(
    "kind", ["intact", "really-jpg", "mode-RGB", "shape", "turned-00006", "frames."]
)
def test_sound_files_are_accepted_whatever_they_are_called(
    judged: tuple[list[Path], Images], kind: str
) -> None:
    paths, images = judged
    found = [index for index, path in enumerate(paths) if path.name.startswith(kind)]
    assert found
    assert [paths[index].name for index in found if images.pixels_row[index] < 0] == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut-", ""),
        ("bomb", ""),
        ("noise", ""),
        ("head-alone", ""),
        ("empty", "an empty file"),
        ("page", "a web page"),
        ("lfs", "a git-lfs pointer"),
        ("really-E", "no picture in a known format"),
        ("really-P", "no picture in a known format"),
    ],
)
def test_damaged_files_are_refused(
    judged: tuple[list[Path], Images], kind: str, words: str
) -> None:
    paths, images = judged
    found = [index for index, path in enumerate(paths) if path.name.startswith(kind)]
    reasons = {problem.index: problem.reason for problem in images.problems}
    assert found
    assert [paths[index].name for index in found if index not in reasons] == []
    assert [reasons[index] for index in found if words not in reasons[index]] == []


def test_a_damaged_file_never_becomes_half_a_picture(judged: tuple[list[Path], Images]) -> None:
    """Nothing of a refused file reaches the arrays, however far its decoding went."""
    paths, images = judged
    bad = [problem.index for problem in images.problems]
    assert (images.pixels_row[bad] == -1).all()
    assert (images.canvas_row[bad] == -1).all()
    taken = {row for row in images.pixels_row.tolist() if row >= 0}
    others = sorted({*range(len(paths))} - taken)
    assert not images.pixels[others].any()


@pytest.mark.parametrize("policy", ["skip", "refuse"])
def test_a_run_over_a_part_of_the_corpus(
    zoo: Zoo, images: Path, children: Children, policy: str
) -> None:
    children("")
    files = corpus.named(
        *("cut-0-50", "flip-01", "bomb", "noise-16", "page", "lfs", "frames", "head-and", "exif")
    )
    for name, data in files.items():
        (images / "bee" / name).write_bytes(data)
    ended = zoo(*RUN, "--bad-images", policy)
    named = [name for name in files if f"/{name}: " in ended.err]
    assert len(named) > 30
    if policy == "refuse":
        assert ended.code == 65
        assert f"{len(named)} of the images cannot be read" in ended.err
        assert "--bad-images skip" in ended.err
        assert not Path("out").exists()
        return
    assert ended.code == 0
    split = json.loads(Path("out/split.json").read_text())["files"]
    kept = {one["name"] for one in split}
    assert len(kept) == 15 + len(files) - len(named)
    assert not {f"bee/{name}" for name in named} & kept
    summary = json.loads(Path("out/summary.json").read_text())
    assert any(f"{len(named)} images cannot be read and were skipped" in x for x in summary["data"])
    assert sum(summary["train"]["images"]) + summary["val"]["n"] == len(kept)
    assert np.isfinite(summary["val"]["top1"])


@pytest.mark.slow
@pytest.mark.skipif(
    "ZOO_CORPUS" not in os.environ,
    reason="ZOO_CORPUS names no folder of pictures; Pillow's source distribution has Tests/images",
)
def test_a13_every_file_of_somebody_elses_corpus_is_accepted_or_listed(tmp_path: Path) -> None:
    paths = [path for path in sorted(Path(os.environ["ZOO_CORPUS"]).rglob("*")) if path.is_file()]
    images = judge(paths, tmp_path)
    reasons = {problem.index: problem.reason for problem in images.problems}
    assert paths
    assert len(reasons) + int((images.pixels_row >= 0).sum()) == len(paths)
    assert [reason for reason in reasons.values() if "kills" in reason or "long" in reason] == []
