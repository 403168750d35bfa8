"""What of the process a plugin's code must leave as it was, looked at and put back.

Of a library only what is imported is looked at; nothing is imported for it.
"""

from __future__ import annotations

import builtins
import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: what is looked at → its value
State = dict[str, Any]
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGPIPE", "SIGALRM")
    if hasattr(signal, name)
]
#: of each module, what of it may be looked at by everybody and must stay what it is
_WATCHED = ("builtins", "torch", "torch.nn", "torch.nn.functional", "torch.nn.init", "zoo")
#: caches of a library, which are no behaviour
_IDLE = frozenset({"_", "__warningregistry__", "__builtins__"})


@dataclass(frozen=True, slots=True)
class _Look:
    """One thing to look at, and how to put it back; without `restore` it can only be told."""

    read: Callable[[], Any]
    restore: Callable[[Any], object] | None = None


def snapshot(*, names: bool = True) -> State:
    """The state of the process as it is now, to be compared with a later one by `changes`.

    Args:
        names: whether what the names of torch and the like stand for is looked at, too; it takes
            most of the time.
    """
    found: State = {}
    looks = _looks() if names else _settings()
    for name, look in looks.items():
        with suppress(Exception):  # a library may lack a part of it
            found[name] = look.read()
    return found


def changes(before: State, after: State) -> list[str]:
    """In words, what differs; patched functions by name."""
    told: list[str] = []
    for name, was in before.items():
        now = after.get(name)
        if isinstance(was, _Names):
            patched = was.differing(now)
            told += [f"{name}.{one} was replaced" for one in patched[:5]]
        elif was != now:
            told.append(f"{name} changed{_short(was, now)}")
    return told


def _short(was: object, now: object) -> str:
    text = f" from {was!r} to {now!r}"
    return text if len(text) <= 90 else ""  # noqa: PLR2004 - fits on a line


def restore(before: State) -> None:
    """Put back what can be."""
    looks = _looks() if any(isinstance(was, _Names) for was in before.values()) else _settings()
    for name, was in before.items():
        look = looks.get(name)
        if look is not None and look.restore is not None:
            with suppress(Exception):
                if isinstance(was, _Names) or look.read() != was:
                    look.restore(was)


@contextmanager
def kept() -> Iterator[None]:
    """What the block changes of the process is put back after it; replaced functions stay so."""
    before = snapshot(names=False)
    try:
        yield
    finally:
        restore(before)


class _Names:
    """What the names of a namespace stand for, by identity."""

    def __init__(self, holder: object) -> None:
        self.holder = holder
        self.held = {
            name: value
            for name, value in vars(holder).items()
            if callable(value) and name not in _IDLE
        }

    def differing(self, other: object) -> list[str]:
        now = other.held if isinstance(other, _Names) else {}
        return sorted(name for name, was in self.held.items() if now.get(name) is not was)

    def put_back(self) -> None:
        for name, was in self.held.items():
            if vars(self.holder).get(name) is not was:
                setattr(self.holder, name, was)


def _looks() -> dict[str, _Look]:
    return {**_settings(), **_namespaces()}


def _settings() -> dict[str, _Look]:
    looks = dict(_PROCESS)
    for library, of_library in (("numpy", _numpy), ("PIL", _pillow), ("torch", _torch)):
        if library in sys.modules:
            looks |= of_library(sys.modules[library])
    return looks


def _set_environment(was: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(was)


def _set_handlers(was: dict[int, Any]) -> None:
    for number, handler in was.items():
        signal.signal(number, handler)


def _set_logging(was: tuple[int, tuple[logging.Handler, ...], int]) -> None:
    logging.root.setLevel(was[0])
    logging.root.handlers[:] = was[1]
    logging.disable(was[2])


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _set_filters(was: list[Any]) -> None:
    warnings.filters[:] = was  # type: ignore[unsupported-operation]  # a list, whatever is declared
    warnings._filters_mutated()  # type: ignore[missing-attribute]  # noqa: SLF001 - as catch_warnings does


_PROCESS = {
    "the working directory": _Look(os.getcwd, os.chdir),
    "the environment": _Look(lambda: dict(os.environ), _set_environment),
    "sys.path": _Look(lambda: [*sys.path], lambda was: sys.path.__setitem__(slice(None), was)),
    "the warning filters": _Look(lambda: [*warnings.filters], _set_filters),
    "warnings.showwarning": _Look(lambda: warnings.showwarning),
    "a signal handler": _Look(
        lambda: {number: signal.getsignal(number) for number in _SIGNALS}, _set_handlers
    ),
    "Python's random state": _Look(random.getstate, random.setstate),
    "the root logger": _Look(
        lambda: (logging.root.level, tuple(logging.root.handlers), logging.root.manager.disable),
        _set_logging,
    ),
    "sys.excepthook": _Look(lambda: sys.excepthook, lambda was: setattr(sys, "excepthook", was)),
    "sys.stdout": _Look(lambda: sys.stdout, lambda was: setattr(sys, "stdout", was)),
    "sys.stderr": _Look(lambda: sys.stderr, lambda was: setattr(sys, "stderr", was)),
    "the recursion limit": _Look(sys.getrecursionlimit, sys.setrecursionlimit),
    "the trace function": _Look(sys.gettrace, sys.settrace),
    "the locale": _Look(
        lambda: locale.setlocale(locale.LC_ALL),
        lambda was: locale.setlocale(locale.LC_ALL, was),
    ),
    "the garbage collector": _Look(gc.isenabled, lambda was: gc.enable() if was else gc.disable()),
    "the file mode mask": _Look(_mask, os.umask),
    "the start method of processes": _Look(
        lambda: multiprocessing.get_start_method(allow_none=True)
    ),
    "the running threads": _Look(lambda: sorted(one.name for one in threading.enumerate())),
}


def _namespaces() -> dict[str, _Look]:
    holders: dict[str, Any] = {
        name: sys.modules[name] for name in _WATCHED if name in sys.modules
    } | {"builtins": builtins}
    torch = sys.modules.get("torch")
    if torch is not None:
        layers = ("Module", "Linear", "Conv2d", "BatchNorm2d", "Dropout", "Parameter")
        holders |= {f"nn.{name}": getattr(torch.nn, name) for name in layers}
        holders["torch.Tensor"] = torch.Tensor
    return {
        name: _Look(lambda holder=holder: _Names(holder), _Names.put_back)
        for name, holder in holders.items()
    }


def _bytes_of(state: tuple[Any, ...]) -> tuple[Any, ...]:
    """A generator's state with its array as bytes, which compare at once."""
    return (state[1].tobytes(), *state[2:])


def _numpy(numpy: Any) -> dict[str, _Look]:  # noqa: ANN401 - a module
    return {
        "numpy's random state": _Look(
            lambda: _bytes_of(numpy.random.get_state(legacy=True)),
        ),
        "numpy's error handling": _Look(numpy.geterr, lambda was: numpy.seterr(**was)),
        "numpy's print options": _Look(lambda: repr(numpy.get_printoptions())),
    }


def _pillow(_: Any) -> dict[str, _Look]:  # noqa: ANN401 - a module
    looks = {}
    for module, name in (
        ("PIL.Image", "MAX_IMAGE_PIXELS"),
        ("PIL.ImageFile", "LOAD_TRUNCATED_IMAGES"),
    ):
        if module in sys.modules:
            holder = sys.modules[module]
            looks[f"{module}.{name}"] = _Look(
                lambda holder=holder, name=name: getattr(holder, name),
                lambda was, holder=holder, name=name: setattr(holder, name, was),
            )
    return looks


def _torch(torch: Any) -> dict[str, _Look]:  # noqa: ANN401 - a module
    modules = torch.nn.modules.module
    return {
        "torch's default dtype": _Look(torch.get_default_dtype, torch.set_default_dtype),
        "torch's default device": _Look(torch.get_default_device),
        "torch's number of threads": _Look(torch.get_num_threads, torch.set_num_threads),
        "torch's grad mode": _Look(torch.is_grad_enabled, torch._C._set_grad_enabled),  # noqa: SLF001 - not as a context
        "torch's inference mode": _Look(torch.is_inference_mode_enabled),
        "torch's autocast": _Look(
            lambda: (torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()),
            lambda was: torch.set_autocast_enabled("cpu", was[0]),
        ),
        "torch's anomaly detection": _Look(
            torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly
        ),
        "torch's deterministic mode": _Look(
            torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode
        ),
        "torch's matmul precision": _Look(
            torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
        ),
        "torch's flush of denormals": _Look(lambda: float(torch.tensor(1e-40) * 1)),
        "torch's print options": _Look(lambda: repr(vars(torch._tensor_str.PRINT_OPTS))),  # noqa: SLF001 - no other reader
        "torch.backends.cudnn": _Look(
            lambda: tuple(
                getattr(torch.backends.cudnn, name)
                for name in ("enabled", "benchmark", "deterministic")
            ),
            lambda was: [
                setattr(torch.backends.cudnn, name, value)
                for name, value in zip(("enabled", "benchmark", "deterministic"), was, strict=True)
            ],
        ),
        **{
            f"torch's switch of {name}": _Look(
                getattr(torch.backends.cuda, f"{name}_sdp_enabled"),
                getattr(torch.backends.cuda, f"enable_{name}_sdp"),
            )
            for name in ("flash", "mem_efficient", "math", "cudnn")
        },
        "torch's fast path of attention": _Look(
            torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled
        ),
        "torch's switch of mkldnn": _Look(lambda: torch.backends.mkldnn.enabled),
        "torch's global module hooks": _Look(
            lambda: [
                len(getattr(modules, name))
                for name in vars(modules)
                if name.startswith("_global_") and hasattr(getattr(modules, name), "__len__")
            ]
        ),
        "torch's global seed": _Look(torch.initial_seed),
    }
