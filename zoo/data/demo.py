"""A small labelled picture set that zoo draws itself: the first run needs no data and no network.

Five kinds of things (balloons, fish, houses, sailboats, trees), forty drawings of each, with
varying colours, places, sizes, tilts, backgrounds, clutter, blur and noise. Colour and background
say little about the class; shape does.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from zoo.errors import StorageFault
from zoo.files import new_folder, write_bytes
from zoo.folders import cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_Colour = tuple[int, int, int]

#: goes up when the drawings change, so that an old cache is not taken for them
VERSION = 1
#: drawings per class
EACH = 40
#: drawn this much larger, then reduced: smooth edges
_FINE = 2
_INK = (35, 30, 30)
_WHITE = (250, 248, 240)


def demo_folder() -> Path:
    """The folder of the drawings, one folder per class inside; drawn if it is not there yet.

    Raises:
        StorageFault: the cache folder cannot be written.
    """
    folder = cache() / f"demo-v{VERSION}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(folder) as drafts:
            _draw_all(drafts)
    except OSError as error:
        message = f"Cannot draw the demo pictures into {folder}: {error.strerror or error}."
        raise StorageFault(message, hint="Free space, or set ZOO_CACHE.") from error
    except StorageFault:
        if not folder.is_dir():  # else another process was faster, and has made the same
            raise
    return folder


def _draw_all(folder: Path) -> None:
    for name in _THINGS:
        (folder / name).mkdir()

    def save(task: tuple[int, str, int]) -> None:
        place, name, number = task
        random = np.random.default_rng([VERSION, place, number])
        picture = _picture(_THINGS[name], random)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=int(random.integers(75, 95)))
        write_bytes(folder / name / f"{number:02}.jpg", stream.getvalue())

    tasks = [(place, name, n) for place, name in enumerate(_THINGS) for n in range(EACH)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(save, tasks))


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws in percent of a square layer, whatever its side in pixels."""

    draw: ImageDraw.ImageDraw
    side: int
    random: np.random.Generator

    def polygon(self, points: Sequence[tuple[float, float]], fill: _Colour) -> None:
        scaled = [(x * self.side / 100, y * self.side / 100) for x, y in points]
        self.draw.polygon(scaled, fill)

    def ellipse(self, x0: float, y0: float, x1: float, y1: float, fill: _Colour) -> None:
        self.draw.ellipse([place * self.side / 100 for place in (x0, y0, x1, y1)], fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: _Colour) -> None:
        self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)

    def line(self, points: Sequence[tuple[float, float]], fill: _Colour, width: float) -> None:
        scaled = [(x * self.side / 100, y * self.side / 100) for x, y in points]
        self.draw.line(scaled, fill, max(1, round(width * self.side / 100)))

    def about(self, value: float, spread: float) -> float:
        """A number near `value`."""
        return float(self.random.uniform(value - spread, value + spread))

    def colour(self) -> _Colour:
        red, green, blue = (int(value) for value in self.random.integers(20, 245, 3))
        return red, green, blue


def _picture(thing: Callable[[_Pen], None], random: np.random.Generator) -> Image.Image:
    """One drawing: background, clutter behind and before the thing itself, blur and noise."""
    width, height = (int(side) for side in random.integers(160, 257, 2))
    scene = _background((width * _FINE, height * _FINE), random)
    _clutter(scene, random)
    side = int(min(scene.size) * random.uniform(0.4, 0.9))
    layer = Image.new("RGBA", (side, side))
    thing(_Pen(ImageDraw.Draw(layer), side, random))
    if random.integers(2):
        layer = layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    layer = layer.rotate(random.uniform(-20, 20), Image.Resampling.BILINEAR)
    left, top = (int(random.integers(0, room - side + 1)) for room in scene.size)
    scene.paste(layer, (left, top), layer)
    _clutter(scene, random)
    small = scene.resize((width, height), Image.Resampling.BOX)
    soft = small.filter(ImageFilter.GaussianBlur(random.uniform(0, 1)))
    noise = random.normal(0, random.uniform(2, 14), (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(soft) + noise, 0, 255).astype(np.uint8))


def _background(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """A sky over a ground, or one wall."""
    top, bottom, ground = (random.integers(60, 256, 3) for _ in range(3))
    rows = np.linspace(0, 1, size[1])[:, None]
    shade = top * (1 - rows) + bottom * rows
    if random.integers(2):
        shade[int(size[1] * random.uniform(0.55, 0.9)) :] = ground * random.uniform(0.5, 0.9)
    pixels = np.broadcast_to(shade[:, None], (size[1], size[0], 3)).astype(np.uint8)
    return Image.fromarray(pixels)


def _clutter(scene: Image.Image, random: np.random.Generator) -> None:
    """A few shapes that are none of the classes."""
    pen = _Pen(ImageDraw.Draw(scene), max(scene.size), random)
    for _ in range(int(random.integers(2, 7))):
        x, y, r = pen.about(50, 50), pen.about(50, 50), pen.about(5, 4)
        if random.integers(2):
            pen.ellipse(x - r, y - r, x + 2 * r, y + r, pen.colour())
        else:
            pen.line([(x, y), (pen.about(x, 20), pen.about(y, 20))], pen.colour(), r / 6)


def _balloon(pen: _Pen) -> None:
    """A hot-air balloon: striped envelope, ropes, basket."""
    one, two = pen.colour(), pen.colour()
    middle, foot = pen.about(36, 4), pen.about(82, 3)
    pen.polygon([(18, middle + 12), (82, middle + 12), (58, foot - 10), (42, foot - 10)], one)
    pen.ellipse(15, middle - 34, 85, middle + 30, one)
    pen.ellipse(33, middle - 34, 67, middle + 33, two)
    pen.ellipse(43, middle - 34, 57, middle + 34, one)
    pen.line([(42, foot - 10), (45, foot)], _INK, 1)
    pen.line([(58, foot - 10), (55, foot)], _INK, 1)
    pen.box(43, foot, 57, foot + 10, (120, 80, 45))


def _fish(pen: _Pen) -> None:
    """A fish from the side: body, tail, fins, eye, scales."""
    body, fins = pen.colour(), pen.colour()
    high = pen.about(21, 6)
    pen.polygon([(66, 50), (96, 50 - high), (88, 50), (96, 50 + high)], fins)
    pen.polygon([(30, 50 - high + 4), (48, 38 - high), (62, 54 - high)], fins)
    pen.polygon([(40, 46 + high), (52, 60 + high), (58, 44 + high)], fins)
    pen.ellipse(6, 50 - high, 76, 50 + high, body)
    for x in range(34, 66, 9):
        pen.line([(x, 50 - high / 2), (x + 4, 50), (x, 50 + high / 2)], fins, 1.2)
    pen.ellipse(15, 50 - high / 2 - 4, 25, 50 - high / 2 + 6, _WHITE)
    pen.ellipse(18, 50 - high / 2 - 2, 23, 50 - high / 2 + 4, _INK)


def _house(pen: _Pen) -> None:
    """A house front: wall, roof, chimney, door, windows."""
    wall, roof, door = pen.colour(), pen.colour(), pen.colour()
    eaves, ridge = pen.about(48, 5), pen.about(14, 6)
    pen.box(64, ridge + 2, 73, eaves, door)
    pen.box(15, eaves, 85, 92, wall)
    pen.polygon([(7, eaves), (pen.about(50, 8), ridge), (93, eaves)], roof)
    pen.box(44, 66, 58, 92, door)
    for x in (22, 65):
        pen.box(x, 58, x + 14, 72, _WHITE)
        pen.line([(x + 7, 58), (x + 7, 72)], _INK, 1)
        pen.line([(x, 65), (x + 14, 65)], _INK, 1)


def _sailboat(pen: _Pen) -> None:
    """A boat under two sails."""
    hull, main, jib = pen.colour(), pen.colour(), pen.colour()
    mast, deck = pen.about(48, 4), pen.about(74, 3)
    pen.line([(mast, 6), (mast, deck)], _INK, 1.8)
    pen.polygon([(mast + 2, 8), (mast + 2, deck - 5), (pen.about(86, 5), deck - 5)], main)
    pen.polygon([(mast - 2, 14), (mast - 2, deck - 5), (pen.about(17, 5), deck - 5)], jib)
    pen.polygon([(8, deck), (94, deck), (80, deck + 17), (24, deck + 17)], hull)
    pen.line([(10, deck + 2), (92, deck + 2)], _WHITE, 1.5)


def _tree(pen: _Pen) -> None:
    """A broad-leaved tree or a fir."""
    leaves, trunk = pen.colour(), pen.colour()
    pen.polygon([(45, 50), (55, 50), (58, 96), (42, 96)], trunk)
    if pen.random.integers(2):
        for top, spread in ((44, 38), (24, 30), (6, 20)):
            pen.polygon([(50, top), (50 - spread, top + 36), (50 + spread, top + 36)], leaves)
        return
    for _ in range(9):
        x, y, r = pen.about(50, 20), pen.about(36, 15), pen.about(17, 3)
        shade = pen.about(0.9, 0.15)
        red, green, blue = (min(255, int(value * shade)) for value in leaves)
        pen.ellipse(x - r, y - r, x + r, y + r, (red, green, blue))


_THINGS = {
    "balloon": _balloon,
    "fish": _fish,
    "house": _house,
    "sailboat": _sailboat,
    "tree": _tree,
}
