"""Plugins installed for a test: exhibits of the museum, and one plugin that works.

`alone` and `zoo` are fixtures of the tests that name them so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tests.conftest import in_this_process
from tests.plugins.conftest import MUSEUM, Site
from zoo import index
from zoo.cli import doctor
from zoo.data import ingest

from .conftest import Zoo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

PARTS = Path(__file__).parents[1] / "parts"

#: the plugin that works: a backbone that is small enough to train here
TINY = """
import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="net", target="tiny_parts:net", provides=("features",),
        options={"width": zoo.Option(type="int", default=8, minimum=1)},
        facts=zoo.Facts(features=8, input_size=(32, 32)),
    )
"""
#: a short probe of it, or of whatever stands before them
ARGUMENTS = (
    *("--data", "images", "--out", "out", "--weights", "none", "--device", "cpu"),
    *("--train", "probe", "--epochs", "2"),
)


def add_tiny(site: Site, version: str = "1.0", text: str = TINY) -> None:
    parts = (PARTS / "tiny_parts.py").read_text()
    site.add(
        "zoo-tiny", version, {"tiny": "zoo_tiny"}, {"zoo_tiny.py": text, "tiny_parts.py": parts}
    )


def use(patch: pytest.MonkeyPatch, site: Site) -> None:
    """Make a site's plugins installed ones, beside those of the environment."""
    patch.syspath_prepend(site.folder)
    patch.setattr(ingest, "in_children", in_this_process)  # children cost more than the tests
    torch.set_num_threads(1)
    index.catalog.cache_clear()


def unfinish(folder: Path) -> None:
    """As if the process had been killed after the last checkpoint."""
    for name in ("summary.json", "exit.json", "report.html"):
        (folder / name).unlink()


def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Site]]:
    """A site of its own for a test: `alone("hangs")`; a second call adds a second folder."""

    def install(*exhibits: str) -> Site:
        folder = tmp_path / f"site{len(list(tmp_path.glob('site*')))}"
        folder.mkdir()
        site = Site(folder)
        for name in exhibits:
            site.install(MUSEUM / name)
        use(monkeypatch, site)
        return site

    yield install
    index.catalog.cache_clear()


def zoo(capsys: pytest.CaptureFixture[str], images: Path, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """The command line with the installed plugins, `./images` being there."""
    monkeypatch.chdir(images.parent)
    monkeypatch.setattr("os.fsync", int)  # no test pulls the plug
    monkeypatch.setattr(doctor, "_ASK_TORCH", "print('[\"cpu\"]')")
    return Zoo(capsys)
