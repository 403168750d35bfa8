"""Fixtures for tests of plugins: empty folders, a catalog of known parts, tiny pictures."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from zoo import index
from zoo.errors import Unavailable
from zoo.owners import FIRST_PARTY
from zoo.plugins.loader import offers
from zoo.testing import tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zoo.components import Component
    from zoo.index import Catalog
    from zoo.plugins.loader import Offer

CLASSES = ("ant", "bee", "cat")


@dataclass(frozen=True, slots=True)
class Tiny:
    """A backbone, a head and a loss that train in milliseconds, by their descriptions.

    Args:
        backbone: images `[N, 3, H, W]` → features `[N, 8]`, one convolution.
        head: features `[N, V, D]` → logits, view_logits and embeddings, one linear layer.
        loss: cross-entropy of `logits`, weighted.
        spec: all three, as `zoo_catalog` offers them.
    """

    backbone: Component = tiny.BACKBONE
    head: Component = tiny.HEAD
    loss: Component = tiny.LOSS
    spec: str = "tiny/net+tiny/classifier+tiny/cross_entropy"


@pytest.fixture
def zoo_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the user's: cache, configuration, and working directory."""
    home = tmp_path / "zoo-home"
    for name in ("cache", "config"):
        monkeypatch.setenv(f"ZOO_{name.upper()}", str(home / name))
    (home / "work").mkdir(parents=True)
    monkeypatch.chdir(home / "work")
    return home


@pytest.fixture
def zoo_tiny() -> Tiny:
    """The fakes; `zoo_catalog` offers them under the namespace `tiny`."""
    return Tiny()


@pytest.fixture
def zoo_catalog(
    zoo_home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Catalog]]:
    """Call it to have a catalog of known parts in the place of the installed plugins'.

    `zoo_catalog("zoo-acme")` offers that plugin's components, the fakes of `zoo_tiny`, and nothing
    else; `first_party=True` adds what zoo itself ships, as far as it is installed. Commands and
    `zoo.run` in this process see it until the test ends, in empty folders (`zoo_home`).

    Raises:
        Unavailable: a plugin of that name is not installed.
    """
    del zoo_home

    def use(*distributions: str, first_party: bool = False) -> Catalog:
        installed = {offer.source.distribution: offer for offer in offers()}
        missing = [name for name in distributions if name not in installed]
        if missing:
            raise Unavailable(f"{missing[0]} is not installed: there is {', '.join(installed)}.")
        wanted = {*distributions, *(f"zoo-{one}" for one in FIRST_PARTY if first_party)}
        chosen: tuple[Offer, ...] = (
            *(offer for name, offer in installed.items() if name in wanted),
            tiny.OFFER,
        )
        monkeypatch.setattr(index, "offers", lambda: chosen)
        index.catalog.cache_clear()
        return index.catalog()

    yield use
    index.catalog.cache_clear()


@pytest.fixture(scope="session")
def _zoo_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn once, to be copied."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("zoo-pictures")
    for colour, name in enumerate(CLASSES):
        (folder / name).mkdir()
        for number in range(5):
            noise = np.random.default_rng((colour, number)).integers(0, 120, (32, 32, 3))
            noise[..., colour] += 120
            Image.fromarray(noise.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def zoo_pictures(_zoo_pictures: Path, tmp_path: Path) -> Path:
    """A folder per class (`ant`, `bee`, `cat`), five pictures of 32x32 pixels in each.

    A class has the colour that its pictures have most of, so anything that learns learns it. The
    folder is the test's own: it may be changed.
    """
    return shutil.copytree(_zoo_pictures, tmp_path / "zoo-pictures")
