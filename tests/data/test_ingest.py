from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from zoo import caches, folders
from zoo.components import Preprocess
from zoo.data import ingest as module
from zoo.data import pool
from zoo.data.ingest import Images, ingest, unreadable
from zoo.data.preprocess import file_pixels
from zoo.errors import StorageFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

RECIPE = Preprocess(size=(16, 24), resize=(20, 30))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty small pictures, two of which cannot be decoded."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    paths = [folder / f"{number:02}.png" for number in range(20)]
    for number, path in enumerate(paths):
        values = random.integers(0, 256, (20 + number, 30, 3), np.uint8)
        Image.fromarray(values).save(path)
    paths[4].write_bytes(b"")
    paths[11].write_bytes(paths[10].read_bytes()[:200])
    return paths


def take(paths: list[Path], scratch: Path, **options: Any) -> Images:  # noqa: ANN401 - passed on
    wants: dict[str, Any] = {
        "want_pixels": [place % 2 == 0 for place in range(len(paths))],
        "want_canvas": [place % 3 != 0 for place in range(len(paths))],
    }
    return ingest(paths, preprocess=RECIPE, canvas_side=8, scratch=scratch, **{**wants, **options})


def same(one: Images, two: Images) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(two, name))
        for name in ("pixels", "pixels_row", "canvases", "canvas_row", "sizes", "aspects")
    )


def test_any_number_of_children_gives_the_same(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        seen.append((done, total))

    one = take(files, tmp_path, jobs=1, progress=note)
    assert seen == [(done, 20) for done in range(1, 21)]
    monkeypatch.setattr(module, "FEW", 1)
    two = take(files, tmp_path, jobs=3)
    assert same(one, two)
    assert one.problems == two.problems
    assert one.pixels.shape == (10, 16, 24, 3)
    assert one.canvases.shape == (13, 8, 8, 3)
    assert one.sizes[7].tolist() == [30, 27]
    assert one.aspects[7] == 30 / 27


def test_bad_files_are_problems_in_order_and_have_no_rows(
    files: list[Path], tmp_path: Path
) -> None:
    images = take(files, tmp_path)
    assert [(problem.index, problem.path) for problem in images.problems] == [
        (4, files[4]),
        (11, files[11]),
    ]
    assert images.problems[0].reason == "an empty file"
    assert images.pixels_row[4] == images.canvas_row[11] == -1
    wanted = [place for place in range(0, 20, 2) if place != 4]
    rows = images.pixels_row[wanted]
    assert len(set(rows.tolist())) == len(wanted)
    assert all(images.pixels[row].std() > 20 for row in rows)
    error = unreadable(images.problems)
    assert error.exit_code == 65
    assert str(files[4]) in error.message
    assert str(files[11]) in error.message


def test_nothing_is_left_in_the_scratch_folder(files: list[Path], tmp_path: Path) -> None:
    images = take(files, tmp_path / "new" / "scratch")
    if os.name == "posix":
        assert list((tmp_path / "new/scratch").iterdir()) == []  # even while it is in use
    assert images.pixels.any()
    images.close()
    assert images.pixels.size == 0
    assert list((tmp_path / "new/scratch").iterdir()) == []


def test_arrays_can_be_written_without_reaching_a_file(files: list[Path], tmp_path: Path) -> None:
    images = take(files, tmp_path)
    images.pixels[0] = 7
    assert (images.pixels[0] == 7).all()


def test_an_image_of_which_nothing_is_wanted_is_judged_all_the_same(
    files: list[Path], tmp_path: Path
) -> None:
    nothing = [False] * 20
    images = take(files, tmp_path, want_pixels=nothing, want_canvas=nothing)
    assert len(images.problems) == 2
    assert images.pixels.shape == (0, 16, 24, 3)
    assert (images.sizes[:4] > 0).all()


def test_no_files_make_empty_arrays(tmp_path: Path) -> None:
    images = take([], tmp_path)
    assert images.pixels.shape == (0, 16, 24, 3)
    assert images.sizes.shape == (0, 2)
    assert images.pixels_row.dtype == images.canvas_row.dtype == np.int64


FAULTY = """
import os, time
from pathlib import Path
import zoo.data.worker as worker
read = worker.read
def faulty(path):
    if path.stem == "07":
        {fault}
    return read(path)
worker.read = faulty
worker.main()
"""


def with_fault(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Let the children run a worker that does `fault` on the file 07.png."""
    start = subprocess.Popen
    code = FAULTY.format(fault=fault)

    def faulty(
        command: list[str],
        **options: Any,  # noqa: ANN401 - passed on
    ) -> subprocess.Popen[bytes]:
        assert command[1:] == ["-P", "-m", "zoo.data.worker"]
        return start([command[0], "-P", "-c", code], **options)

    monkeypatch.setattr(pool.subprocess, "Popen", faulty)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_file_that_crashes_the_decoder_costs_that_file_alone(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = take(files, tmp_path)
    with_fault(monkeypatch, f"os.kill(os.getpid(), {signal.SIGSEGV.value})")
    images = take(files, tmp_path, jobs=2)
    assert [problem.index for problem in images.problems] == [4, 7, 11]
    assert "SIGSEGV" in images.problems[1].reason
    others = [place for place in range(20) if place != 7]
    assert np.array_equal(images.sizes[others], good.sizes[others])
    assert np.array_equal(images.pixels, good.pixels)  # 07 is odd: only its canvas was wanted


def test_a_file_that_takes_for_ever_is_given_up(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_fault(monkeypatch, "time.sleep(60)")
    for name in ("pixels", "canvases"):
        (tmp_path / name).write_bytes(bytes(20 * 16 * 24 * 3))
    order = pool.Order(RECIPE, 8, tmp_path / "pixels", tmp_path / "canvases")
    tasks = [pool.Task(place, path, place, place) for place, path in enumerate(files)]
    answers = {
        task.index: answer
        for task, answer in filter(None, pool.in_children(tasks, order, 2, patience=0.4))
    }
    assert answers[7] == {"reason": "decoding it takes too long"}
    assert len(answers) == 20


def test_a_child_that_cannot_start_says_why(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(_parent: Mapping[str, str]) -> dict[str, str]:
        return {"PYTHONPATH": "", "PYTHONHOME": "/none"}

    monkeypatch.setattr(pool, "child_environment", nowhere)
    with pytest.raises(RuntimeError, match="cannot start"):
        take(files, tmp_path)


def test_a_failure_while_reporting_ends_the_children(files: list[Path], tmp_path: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        take(files, tmp_path, progress=stop)
    assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved here")
def test_a_full_disk_shows_before_anything_is_decoded(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageFault, match="No space left"):
        take(files, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_children_do_not_see_secrets() -> None:
    environment = pool.child_environment(
        {"HF_TOKEN": "x", "DATABASE_URL": "x", "SSH_AUTH_SOCK": "x", "HOME": "/h", "LC_ALL": "C"}
    )
    assert {name: environment[name] for name in ("HOME", "LC_ALL")} == {"HOME": "/h", "LC_ALL": "C"}
    assert not {"HF_TOKEN", "DATABASE_URL", "SSH_AUTH_SOCK"} & environment.keys()


def test_the_room_never_imports_torch_and_children_never_run_the_script(
    files: list[Path], tmp_path: Path
) -> None:
    # no `if __name__ == "__main__"`: multiprocessing would run this script again in each child
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "import zoo.data.augment, zoo.data.demo, zoo.data.split\n"
        "from zoo.components import Preprocess\nfrom zoo.data.ingest import ingest\n"
        "from zoo.data.table import read_images\n"
        f"paths = read_images([Path({str(files[0].parent)!r})])\n"
        "images = ingest(paths, preprocess=Preprocess(), want_pixels=[True] * len(paths),\n"
        "    want_canvas=[True] * len(paths), canvas_side=8, scratch=Path('scratch'))\n"
        "print(len(images.problems), sorted({'torch', 'torchvision', 'timm'} & set(sys.modules)))\n"
    )
    (tmp_path / "work").mkdir()
    (tmp_path / "work/json.py").write_text("raise RuntimeError")
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path / "work", env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == "2 []\n"


def test_a_file_that_was_replaced_is_not_taken_for_the_one_that_was_hashed(
    files: list[Path], tmp_path: Path, cold: Callable[[], None]
) -> None:
    cold()
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    good = take(files, tmp_path, digests=digests)
    assert [problem.index for problem in good.problems] == [4, 11]
    digests[7] = "0" * 64
    digests[9] = ""  # it could not be read when the hashes were taken
    images = take(files, tmp_path, digests=digests)
    assert [problem.index for problem in images.problems] == [4, 7, 9, 11]
    assert "changed" in images.problems[1].reason


@pytest.mark.skipif(os.name != "posix", reason="limits of a process")
def test_a_file_that_takes_too_much_memory_costs_that_file_alone(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_fault(monkeypatch, "bytearray(worker.MEMORY)")
    images = take(files, tmp_path)
    assert [problem.index for problem in images.problems] == [4, 7, 11]
    assert "memory" in images.problems[1].reason


def test_animations_are_counted(files: list[Path], tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    paths = [*files[:3], tmp_path / "x.gif"]
    assert take(paths, tmp_path / "scratch").animated == 1


def test_pictures_among_more_paths_keep_their_rows_sizes_and_problems(
    files: list[Path], tmp_path: Path
) -> None:
    images = take(files, tmp_path)
    places = np.arange(20) * 2 + 1
    spread = images.spread(places, 41)
    for name in ("pixels_row", "canvas_row", "sizes"):
        assert np.array_equal(getattr(spread, name)[places], getattr(images, name))
    others = np.setdiff1d(np.arange(41), places)
    assert (spread.pixels_row[others] == -1).all()
    assert (spread.canvas_row[others] == -1).all()
    assert not spread.sizes[others].any()
    assert [one.index for one in spread.problems] == [2 * 4 + 1, 2 * 11 + 1]
    assert [one.path for one in spread.problems] == [one.path for one in images.problems]
    assert spread.pixels is images.pixels


def test_no_pictures_among_some_paths_are_nothing(tmp_path: Path) -> None:
    spread = take([], tmp_path).spread(np.zeros(0, np.int64), 3)
    assert (spread.pixels_row == -1).all()
    assert spread.aspects.tolist() == [1, 1, 1]


def hashes(paths: list[Path]) -> list[str]:
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_what_is_being_filled_is_left_alone_by_others_who_clear_the_cache(
    files: list[Path], tmp_path: Path, cold: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    cold()
    left: list[int] = []

    def clear(_done: int, _total: int) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("ZOO_CACHE_LIMIT", "0")
            caches.prune()
        left.append(len(caches.clear().in_use))

    images = take(files, tmp_path, digests=hashes(files), progress=clear)
    assert left == [2] * 20
    again = take(files, tmp_path, digests=hashes(files))
    assert same(images, again)
    assert again.decoded == 2 + 3  # the bad ones, and those of which nothing is wanted
    assert same(images, take(files, tmp_path))
    assert caches.clear().in_use == ()


def test_a_row_that_somebody_else_overwrote_meanwhile_is_decoded_again(
    files: list[Path], tmp_path: Path, cold: Callable[[], None]
) -> None:
    cold()

    def overwrite(done: int, _total: int) -> None:
        if done == 20:
            for file in folders.cache().glob("pictures/*/rows.u8"):
                file.write_bytes(bytes(file.stat().st_size))

    take(files, tmp_path, digests=hashes(files), progress=overwrite)
    again = take(files, tmp_path, digests=hashes(files))
    assert again.decoded == 20
    assert same(again, take(files, tmp_path, digests=hashes(files)))
    assert again.pixels[again.pixels_row[0]].any()


def test_both_rows_of_two_files_alike_stay_what_they_were(
    files: list[Path], tmp_path: Path, cold: Callable[[], None]
) -> None:
    """The first of them is mapped by this run, though later ones find the second."""
    cold()
    wants = {"want_pixels": [True] * 2, "want_canvas": [False] * 2}
    images = take([files[0]] * 2, tmp_path, digests=hashes([files[0]] * 2), **wants)
    before = images.pixels[images.pixels_row].copy()
    take(files[1:3], tmp_path, digests=hashes(files[1:3]), **wants)
    assert (images.pixels[images.pixels_row] == before).all()


def test_scratch_that_a_killed_process_left_is_removed_and_that_of_others_is_not(
    files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "ingest-killed").mkdir()
    (tmp_path / "ingest-killed" / "pixels.u8").write_bytes(bytes(100))
    inner: list[Images] = []

    def meanwhile(done: int, _total: int) -> None:
        if done == 5:
            inner.append(take(files, tmp_path))
            assert len(list(tmp_path.iterdir())) == 1  # the outer one's

    images = take(files, tmp_path, progress=meanwhile)
    assert same(images, inner[0])
    assert list(tmp_path.iterdir()) == []


def test_a_large_jpeg_is_ingested_as_prediction_sees_it(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    large = Image.fromarray(values).resize((640, 480), Image.Resampling.BICUBIC)
    large.save(
        tmp_path / "x.jpg",
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
    )
    images = take([tmp_path / "x.jpg"], tmp_path / "scratch")
    assert images.sizes.tolist() == [[480, 640]]
    assert np.array_equal(images.pixels[0], file_pixels(tmp_path / "x.jpg", RECIPE))


def test_files_that_wait_behind_one_that_kills_the_decoder_go_to_the_next(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_fault(monkeypatch, "os._exit(3)")
    for name in ("pixels", "canvases"):
        (tmp_path / name).write_bytes(bytes(20 * 16 * 24 * 3))
    order = pool.Order(RECIPE, 8, tmp_path / "pixels", tmp_path / "canvases")
    tasks = [pool.Task(place, path, place, place) for place, path in enumerate(files)]
    answers = [answer for answer in pool.in_children(tasks, order, 1) if answer]
    assert [task.index for task, _ in answers] == list(range(20))
    refused = {task.index: said["reason"] for task, said in answers if "reason" in said}
    assert refused.keys() == {4, 7, 11}
    assert refused[7] == "decoding it kills the decoder (exit code 3)"
