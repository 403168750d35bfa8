"""What tests share: the README's code, and for the engine tiny pictures and a tiny backbone."""

from __future__ import annotations

import queue
import re
import shutil
import sys
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import zoo_heads
import zoo_losses
from PIL import Image

import zoo
from zoo import corridor, draft, index, inference, replay, structure
from zoo.data import ingest, stream
from zoo.data.worker import answer
from zoo.index import Catalog, assemble
from zoo.plan import DataCounts, Plan
from zoo.plugins.distributions import Source
from zoo.plugins.loader import Offer
from zoo.progress import Listener, Silent
from zoo.registry import Registry
from zoo.resolve import resolve, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from zoo.components import Kind
    from zoo.data.pool import Order, Task

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(
    r"^```(?P<language>\w+) ?(?P<file>\S*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Blocks:
    """Fenced blocks, by what they are for.

    Args:
        commands: lines of `sh` blocks.
        python: Python without a file's name.
        files: blocks that name a file (after the language), by that name.
    """

    commands: list[str]
    python: list[str]
    files: dict[str, str]

    @property
    def plugin(self) -> list[str]:
        """The names of the example plugin's modules."""
        return [name for name in self.files if name.startswith("zoo_acme/")]


@pytest.fixture(scope="session", autouse=True)
def _nobodys_choices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the user configured decides no test; lines to be typed are those of an active venv."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CONFIG", str(tmp_path_factory.mktemp("config")))
        patch.setenv("VIRTUAL_ENV", sys.prefix)
        for name in ("ZOO_PLUGINS", "ZOO_STRICT_PLUGINS"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def readme() -> Blocks:
    found = [match.groupdict() for match in BLOCK.finditer(README.read_text("utf-8"))]
    return Blocks(
        commands=[
            line for one in found if one["language"] == "sh" for line in one["code"].splitlines()
        ],
        python=[one["code"] for one in found if one["language"] == "python" and not one["file"]],
        files={one["file"]: one["code"] for one in found if one["file"]},
    )


PARTS = Path(__file__).parent / "parts"
SPEC = "tiny/net+linear+cekl"
#: what makes a run of the tiny backbone a short probe
PROBE = {"weights": "none", "train": "probe", "epochs": 3, "device": "cpu"}

#: whoever asks for the catalog; imported now, for what is imported later would keep a patched one
ROOMS = (
    *(corridor, draft, index, inference, replay, structure),
    *(import_module(f"zoo.cli.{command}") for command in ("prefer", "show", "why")),
)

NET = zoo.Component(
    name="net",
    target="tiny_parts:net",
    provides=("features",),
    options={
        "width": zoo.Option(type="int", default=8, minimum=1),
        "img_size": zoo.Option(type="int", default=None, minimum=1),
    },
    weights=(
        zoo.Weights(
            tag="v1",
            default=True,
            source="package:no_such_package/net.safetensors",
            preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36)),
        ),
        zoo.Weights(tag="v2", preprocess=zoo.Preprocess(size=(48, 48), resize=(48, 48))),
    ),
    facts=zoo.Facts(features=8, input_size=(32, 32)),
)


def _offer(namespace: str, kind: Kind, parts: Iterable[zoo.Component]) -> Offer:
    source = Source(f"zoo-{namespace}", "1.0", namespace, f"zoo_{namespace}", "fingerprint")
    return Offer(source, components={kind: tuple(parts)})


def tiny_catalog(*, losses: Iterable[zoo.Component] = (), **changes: Any) -> Catalog:  # noqa: ANN401 - fields of a component
    """First-party heads and losses, and of a third party one tiny backbone and `losses`."""
    return assemble(
        [
            _offer("heads", "head", zoo_heads.zoo_heads()),
            _offer("losses", "loss", zoo_losses.zoo_losses()),
            _offer("tiny", "backbone", [replace(NET, **changes)]),
            _offer("tiny", "loss", losses),
        ]
    )


def in_this_process(
    tasks: Sequence[Task], order: Order, jobs: int
) -> Generator[tuple[Task, dict[str, Any]], None, None]:
    """What decoding children do, without the children."""
    del jobs
    for task in tasks:
        yield task, answer(order.to_json(), task.to_json())


class CrewOfNone:
    """What a crew of decoding children does, without the children; it counts what it decodes."""

    decoded: ClassVar[list[str]] = []

    def __init__(self, order: Order, jobs: int) -> None:
        del jobs
        self._order = order
        self._done: queue.SimpleQueue[tuple[Task, dict[str, Any]] | None] = queue.SimpleQueue()

    def give(self, task: Task) -> None:
        self.decoded.append(task.path.name)
        self._done.put((task, answer(self._order.to_json(), task.to_json())))

    def next(self) -> tuple[Task, dict[str, Any]] | None:
        return self._done.get()

    def close(self) -> None:
        self._done.put(None)


def _install(patch: pytest.MonkeyPatch, catalog: Catalog) -> None:
    import torch

    torch.set_num_threads(1)  # threads that wait for each other are slower on tiny tensors
    patch.syspath_prepend(PARTS)
    patch.setattr(ingest, "in_children", in_this_process)  # children cost more than the tests
    patch.setattr(stream, "Crew", CrewOfNone)
    patch.setattr("os.fsync", int)  # no test pulls the plug
    # The same arithmetic on every machine that the tests run on.
    patch.setattr("zoo.training.device.has_matrix_units", lambda: False)
    for room in ROOMS:
        patch.setattr(room, "catalog", lambda: catalog)


@pytest.fixture
def make_catalog() -> Callable[..., Catalog]:
    return tiny_catalog


@pytest.fixture
def cold(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], None]:
    """Call it to have an empty cache folder from then on."""

    def empty() -> None:
        monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))

    return empty


@pytest.fixture
def tiny(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cold: Callable[[], None]
) -> Callable[..., Catalog]:
    """The tiny catalog in the place of the installed one; call it to change the backbone.

    The working directory is an empty folder, and so is the cache.
    """
    cold()
    monkeypatch.chdir(tmp_path)

    def install(**changes: Any) -> Catalog:  # noqa: ANN401 - fields of a component
        catalog = tiny_catalog(**changes)
        _install(monkeypatch, catalog)
        return catalog

    install()
    return install


def picture(path: Path, colour: int, seed: int, side: int = 32) -> None:
    """A noisy picture in one of three colours, different for each seed."""
    noise = np.random.default_rng((colour, seed)).integers(0, 120, (side, side, 3))
    noise[..., colour % 3] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise.astype(np.uint8)).save(path)


def pictures(
    folder: Path, counts: tuple[int, ...] = (5, 5, 5), *, split: str = "", first: int = 0
) -> Path:
    """A folder per class (`ant`, `bee`, `cat`), with so many pictures in each."""
    for colour, (name, count) in enumerate(zip(("ant", "bee", "cat"), counts, strict=False)):
        for number in range(first, first + count):
            picture(folder / split / name / f"{number}.png", colour, number)
    return folder


@pytest.fixture
def draw() -> Callable[..., Path]:
    return pictures


@pytest.fixture(scope="session")
def _images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("images"))


@pytest.fixture
def images(_images: Path, tmp_path: Path) -> Path:
    """Three classes of five pictures each, 12 of which train."""
    return shutil.copytree(_images, tmp_path / "images")


@pytest.fixture
def train() -> Callable[..., corridor.Run]:
    """Train the tiny backbone: `train(data, out, epochs=2)`; None leaves a setting unset."""

    def run(
        data: Path,
        out: Path | str | None,
        *,
        spec: str = SPEC,
        listener: Listener | None = None,
        observe: tuple[str, ...] = (),
        **settings: object,
    ) -> corridor.Run:
        return corridor.run(
            spec,
            data=data,
            out=out,
            listener=listener or Silent(),
            observe=observe,
            settings={
                key.replace("__", "."): one
                for key, one in {**PROBE, **settings}.items()
                if one is not None
            },
        )

    return run


@pytest.fixture
def planned() -> Callable[..., Plan]:
    """A plan of the tiny backbone, settled for so many images: `planned("...", lr=1)`."""

    def plan(
        spec: str = SPEC,
        *,
        counts: DataCounts | None = None,
        book: Registry | None = None,
        accelerator: bool = False,
        **settings: object,
    ) -> Plan:
        given = {
            "weights": "none",
            **{key.replace("__", "."): one for key, one in settings.items()},
        }
        found = resolve(spec, given, catalog=tiny_catalog(), book=book or Registry())
        counts = counts or DataCounts(("ant", "bee", "cat"), (4, 4, 4), 3, 0)
        return settle(found, counts, {"name": "cpu"}, accelerator=accelerator)

    return plan


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, _images: Path) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        _install(patch, tiny_catalog())
        corridor.run(
            SPEC,
            data=_images,
            out=folder / "run",
            listener=Silent(),
            settings={**PROBE, "epochs": 30},
        )
    return folder / "run"


@pytest.fixture
def finished(_finished: Path, tiny: object, tmp_path: Path) -> Path:
    """A copy of a finished probe run on `images`, the tiny catalog being installed."""
    del tiny
    return shutil.copytree(_finished, tmp_path / "finished")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the scripts on the import path, as it is when one of them runs."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
