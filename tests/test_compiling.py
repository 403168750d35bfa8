from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from zoo import compiling
from zoo.compiling import break_even, choose
from zoo.plan import DataCounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.plan import Plan

SIZE = (224, 224)
RESNET18, VIT_SMALL = 11_200_000, 21_700_000


@pytest.mark.parametrize(
    ("layout", "params", "size", "warm", "images"),
    [
        ("conv", RESNET18, SIZE, False, 2_800_000),
        ("conv", RESNET18, SIZE, True, 933_333),
        ("token", VIT_SMALL, SIZE, False, 266_667),
        ("token", 4 * VIT_SMALL, SIZE, False, 66_667),
        ("token", VIT_SMALL, (448, 448), False, 66_667),
        ("", RESNET18, SIZE, False, 2_800_000),
        ("conv", None, SIZE, False, 2_800_000),
    ],
)
def test_the_break_even_is_what_compiling_takes_over_what_an_image_saves(
    layout: str, params: int | None, size: tuple[int, int], images: int, *, warm: bool
) -> None:
    assert break_even(layout, params, size, warm=warm) == pytest.approx(images, rel=1e-5)


@pytest.mark.parametrize(
    ("wanted", "kind", "left", "expected"),
    [
        ("auto", "cuda", 1001, True),
        ("auto", "cuda", 1000, False),
        ("auto", "cpu", 10**9, False),
        ("auto", "mps", 10**9, False),
        ("on", "cpu", 1, True),
        ("off", "cuda", 10**9, False),
    ],
)
def test_images_left_decide_on_cuda_alone(
    wanted: str, kind: str, left: int, *, expected: bool
) -> None:
    found, why = choose(wanted, kind, left, 1000)
    assert found == expected
    assert bool(why) == (wanted == "auto")


def test_a_plan_says_of_its_full_phase_whether_it_compiles_and_why(
    planned: Callable[..., Plan],
) -> None:
    probe, full = planned(train="lpft").phases
    assert not full.compile
    assert full.reasons["compile"].startswith("off: only on CUDA")
    assert "compile" not in probe.reasons
    probe, full = planned(train="lpft", compile="on").phases
    assert (probe.compile, full.compile) == (False, True)
    assert "compile" not in full.reasons
    many = planned(train="full", counts=DataCounts(("a", "b"), (10**6, 10**6), 3, 0))
    assert not many.phases[0].compile


def test_kernels_are_known_again_until_they_are_gone_or_are_others(
    planned: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiling.VARIABLE, str(tmp_path / "kernels"))
    plan = planned(train="full")
    (phase,) = plan.phases
    word = compiling.key(plan, phase)
    assert not compiling.is_warm(word)
    compiling.remember(word)
    assert compiling.is_warm(word)
    changes: list[dict[str, Any]] = [{"title": "other"}, {"torch": "9"}, {"precision": "bf16"}]
    others = [compiling.key(replace(plan, device=one), phase) for one in changes]
    others.append(compiling.key(plan, replace(phase, batch_size=phase.batch_size * 2)))
    others.append(compiling.key(replace(plan, views=7), phase))
    assert len({word, *others}) == len(others) + 1
    assert not any(map(compiling.is_warm, others))
    for one in (tmp_path / "kernels").iterdir():
        one.unlink()
    assert not compiling.is_warm(word)


def test_a_folder_that_cannot_be_written_leaves_kernels_unmade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(compiling.VARIABLE, str(tmp_path / "file" / "kernels"))
    compiling.remember("word")
    assert not compiling.is_warm("word")
