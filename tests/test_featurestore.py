from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import save

from zoo import featurestore
from zoo.featurestore import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

NAMES = ["a" * 64, "b" * 64, "c" * 64]


@pytest.fixture(autouse=True)
def _nowhere(cold: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    cold()
    monkeypatch.setattr("os.fsync", int)


def features(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 2, 5)).astype(np.float32)


def store(**recipe: object) -> FeatureStore:
    return FeatureStore({"backbone": "tiny/net", **recipe})


def shards() -> list[Path]:
    return sorted(store().folder.glob("shard-*"))


def test_what_is_added_is_found_by_a_later_process_bit_for_bit() -> None:
    made = features(3)
    store().add(NAMES, made)
    found = store().find([*NAMES, "d" * 64])
    assert found.keys() == set(NAMES)
    assert all((found[name] == one).all() for name, one in zip(NAMES, made, strict=True))
    assert found[NAMES[0]].dtype == np.float32


def test_the_same_process_finds_it_at_once() -> None:
    here = store()
    assert here.find(NAMES) == {}
    here.add(NAMES[:1], features(1))
    assert here.find(NAMES).keys() == {NAMES[0]}


def test_another_recipe_is_another_store() -> None:
    store().add(NAMES, features(3))
    for other in (store(tensors="x"), store(backbone="tiny/other"), store(views=2)):
        assert other.find(NAMES) == {}
    assert json.loads((store().folder / "recipe.json").read_text())["backbone"] == "tiny/net"


def test_a_file_that_could_not_be_read_is_not_kept() -> None:
    store().add([NAMES[0], "", NAMES[1]], features(3))
    found = store().find(["", *NAMES])
    assert found.keys() == set(NAMES[:2])
    assert (found[NAMES[1]] == features(3)[2]).all()


@pytest.mark.parametrize("place", [0, 8, 40, -1, -30])
def test_a_damaged_shard_is_passed_over_and_can_be_made_again(place: int) -> None:
    store().add(NAMES[:1], features(1))
    store().add(NAMES[1:], features(2, seed=1))
    for shard in shards():
        data = bytearray(shard.read_bytes())
        if NAMES[0].encode() not in data:
            data[place] ^= 0x01
            shard.write_bytes(data)
    assert store().find(NAMES).keys() == {NAMES[0]}
    store().add(NAMES[1:], features(2, seed=1))
    found = store().find(NAMES)
    assert found.keys() == set(NAMES)
    assert (found[NAMES[2]] == features(2, seed=1)[1]).all()


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.99])
def test_a_shard_cut_short_is_passed_over(kept: float) -> None:
    store().add(NAMES, features(3))
    (shard,) = shards()
    shard.write_bytes(shard.read_bytes()[: int(kept * shard.stat().st_size)])
    assert store().find(NAMES) == {}


def test_a_shard_of_a_strangers_making_is_passed_over() -> None:
    """Whole by its name, but no shard."""
    store().add(NAMES, features(3))
    header = b'{"__metadata__": {"digests": 1}}'
    for data in (
        b"",
        b"\xff" * 100,
        (1 << 63).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        len(header).to_bytes(8, "little") + header,
        save({"other": features(1)}, {"digests": NAMES[0]}),
        save({"features": features(1)}, {"digests": "\n".join(NAMES)}),
    ):
        name = hashlib.sha256(data).hexdigest()[:16]
        (store().folder / f"shard-{name}.safetensors").write_bytes(data)
    found = store().find(NAMES)
    assert all((found[name] == one).all() for name, one in zip(NAMES, features(3), strict=True))


def test_memory_is_taken_for_what_is_asked_not_for_what_is_kept() -> None:
    there = store()
    for shard in range(8):
        names = [f"{shard}{place:063}" for place in range(50)]
        there.add(names, np.full((50, 4, 512), shard, np.float32))  # 400 kB
    here, asked = store(), [f"3{7:063}", f"5{49:063}", "d" * 64]
    tracemalloc.start()
    try:
        assert here.known(asked) == set(asked[:2])
        found = here.find(asked)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {name: set(one.flat) for name, one in found.items()} == {asked[0]: {3}, asked[1]: {5}}
    # A file is hashed in pieces of 256 kB.
    assert most < 400_000
    assert held < 100_000


def test_a_shard_without_a_wanted_row_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name in enumerate(NAMES):
        store().add([name], features(1, seed=place))
    opened = []

    def watched(path: Path, framework: str) -> object:
        opened.append(path)
        return safe_open(path, framework)

    safe_open = featurestore.safe_open
    monkeypatch.setattr(featurestore, "safe_open", watched)
    here = store()
    assert here.find(["d" * 64]) == {}
    for _ in range(3):
        assert (here.find([NAMES[1]])[NAMES[1]] == features(1, seed=1)).all()
    assert len(opened) == 1


def test_what_is_known_stays_known_when_the_store_is_cleared() -> None:
    store().add(NAMES, features(3))
    here = store()
    assert here.known(["d" * 64, *NAMES[:2]]) == set(NAMES[:2])
    for shard in shards():
        shard.unlink()
    found = here.find(NAMES)
    assert found.keys() == set(NAMES[:2])
    assert (found[NAMES[1]] == features(3)[1]).all()


def test_what_another_run_adds_meanwhile_is_found() -> None:
    here = store()
    assert here.known(NAMES) == set()
    store().add(NAMES[:2], features(2))
    assert here.find(NAMES).keys() == set(NAMES[:2])


def test_shards_that_are_held_are_no_open_files() -> None:
    for place, name in enumerate(NAMES):
        store().add([name], features(1, seed=place))
    here, before = store(), next_descriptor()
    here.find(NAMES)
    assert next_descriptor() == before


def next_descriptor() -> int:
    """The lowest that is free."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def test_a_cache_that_cannot_be_written_serves_its_own_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "no folder"))
    here = store()
    here.add(NAMES, features(3))
    assert here.find(NAMES).keys() == set(NAMES)
    assert store().find(NAMES) == {}


def test_a_store_that_is_cleared_meanwhile_costs_time_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store().add(NAMES[:1], features(1))
    here = store()
    folder = here.folder

    def after_clearing(work: Callable[..., object]) -> Callable[..., object]:
        def cleared(*given: object) -> object:
            if folder.exists():
                folder.rename(folder.with_name("cleared" + work.__name__))
            return work(*given)

        return cleared

    monkeypatch.setattr(featurestore, "write_bytes", after_clearing(featurestore.write_bytes))
    here.add(NAMES, features(3))
    assert here.find(NAMES).keys() == set(NAMES)
    assert not folder.exists()

    folder.mkdir()
    monkeypatch.setattr("os.scandir", after_clearing(os.scandir))
    assert store().find(NAMES) == {}
    assert not folder.exists()
