"""Counts decoded images, and images that enter a network, in every Python process of a run.

Python imports a `sitecustomize` that it finds on its path, so with this folder on PYTHONPATH every
peer is counted in the same way, zoo and the processes that it starts included, and none of them
needs a line for it. What is counted is appended to the file that PYTHON_TALLY names: a `d` for each
picture that Pillow or simplejpeg decodes, but for tiny ones, which decoders are tried on, and `f N`
for each batch of N images whose three channels meet a convolution. It costs a system call each.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, ClassVar

# The name begins so because zoo passes such variables alone to the processes that decode.
_FILE = os.open(os.environ["PYTHON_TALLY"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


#: no photograph has a longer side of fewer pixels
_TINY = 64


def _count_decodes(pillow: Any) -> None:
    load = pillow.ImageFile.load

    def counted(image: Any) -> Any:
        if image.tile and max(image.size) >= _TINY:  # nothing is left to decode once it is loaded
            os.write(_FILE, b"d\n")
        return load(image)

    pillow.ImageFile.load = counted


def _count_jpegs(simplejpeg: Any) -> None:
    decode = simplejpeg.decode_jpeg

    def counted(*given: Any, **named: Any) -> Any:
        levels = decode(*given, **named)
        if max(levels.shape) >= _TINY:
            os.write(_FILE, b"d\n")
        return levels

    simplejpeg.decode_jpeg = counted


def _count_forwards(functional: Any) -> None:
    conv2d = functional.conv2d

    def counted(images: Any, *rest: Any, **named: Any) -> Any:
        if images.shape[-3] == 3 and images.device.type != "meta":
            os.write(_FILE, b"f %d\n" % (len(images) if images.ndim == 4 else 1))
        return conv2d(images, *rest, **named)

    functional.conv2d = counted


class _AfterImport:
    """Finds these modules as Python does, and has what it is to do done after their import."""

    todo: ClassVar = {
        "PIL.ImageFile": _count_decodes,
        "simplejpeg": _count_jpegs,
        "torch.nn.functional": _count_forwards,
    }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        then = self.todo.pop(name, None)
        spec = PathFinder.find_spec(name, path, target) if then else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            then(module)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _AfterImport())
