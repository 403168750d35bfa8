"""Which device, which precision, which memory layout: each with its reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from zoo.errors import Mismatch, Unavailable, UsageError
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

#: by which oneDNN and MKL are kept from instructions that a processor has
_SWITCHES = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")
#: what of a processor decides nothing, or is told elsewhere: the threads that compute are
_NO_MATTER = {"num_sockets", "num_physical_cores", "num_logical_cores"}
#: how the host's allocator, Apple's and CUDA's own say it, which have no exception for it
_NO_MEMORY = ("can't allocate memory", "MPS backend out of memory", "CUDA error: out of memory")


@dataclass(frozen=True, slots=True)
class Device:
    """Where tensors live and how they are computed with.

    Args:
        name: as torch spells it: `cpu`, `cuda`, `cuda:1`, `mps`.
        title: what to tell a person: `CPU, N threads`, `Apple GPU`, or the card's name.
        precision: `fp32`, or `bf16` for autocast in bfloat16.
        channels_last: whether images and convolutions are laid out channels last.
        reasons: one sentence for each of the three choices.
        memory: its own, in all, bytes; 0 where it has none, or where that is not known.
    """

    name: str
    title: str
    precision: str
    channels_last: bool
    reasons: tuple[str, ...]
    memory: int = 0

    @property
    def torch(self) -> torch.device:
        """As a torch device."""
        return torch.device(self.name)

    @property
    def accelerator(self) -> bool:
        """Whether training a whole network is what this device is for."""
        return self.torch.type != "cpu"

    @property
    def memory_format(self) -> torch.memory_format:
        """Of image batches and convolution weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> AbstractContextManager[object]:
        """The context that a backbone's forward passes run in."""
        if self.precision == "bf16":
            return torch.autocast(self.torch.type, dtype=torch.bfloat16)
        return nullcontext()

    @property
    def in_full(self) -> Device:
        """This device in full precision: what a head on features computes with.

        It is small, and which of two classes is the answer is often in the last digits.
        """
        return replace(self, precision="fp32")

    def seed(self, value: int) -> None:
        """Seed the generators that modules draw from, on the CPU and on this device.

        `torch.manual_seed` would also note down, with a traceback, to seed each device that has
        not started yet: some milliseconds for nothing, in every step.
        """
        torch.default_generator.manual_seed(value)
        if self.torch.type == "cuda":
            with torch.cuda.device(self.torch):  # torch seeds the current card, whichever that is
                torch.cuda.manual_seed(value)
        elif self.torch.type == "mps":
            torch.mps.manual_seed(value)

    def wait(self) -> None:
        """Until all that was asked of this device is done; a CPU has no queue."""
        if self.torch.type == "cuda":
            torch.cuda.synchronize(self.torch)
        elif self.torch.type == "mps":
            torch.mps.synchronize()

    def tensor_to(self, tensor: torch.Tensor) -> torch.Tensor:
        """Move without waiting where the device allows it."""
        return tensor.to(self.torch, non_blocking=self.torch.type != "mps")


def moved(array: np.ndarray, place: torch.device) -> torch.Tensor:
    """An array on a device, which reads it by itself while the host goes on."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if place.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(place, non_blocking=place.type != "mps")


def choose(wanted: str, precision: str, channels_last: str, *, layout: str) -> Device:
    """Decide device, precision and layout from the settings of the same names.

    Args:
        wanted: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
        precision: `auto`, `fp32` or `bf16`.
        channels_last: `auto`, `on` or `off`.
        layout: the backbone's `Facts.layout`; convolutions gain from channels last, tokens do not.

    Raises:
        Unavailable: the wanted device is not there.
    """
    name, why_device = _device(wanted)
    precise, why_precision = _precision(precision, name)
    last = channels_last == "on" or (channels_last == "auto" and layout != "token")
    why_layout = f"channels_last = {channels_last}"
    if channels_last == "auto":
        why_layout = "convolutions run faster channels last" if last else "no convolutions to speed"
    reasons = why_device, why_precision, why_layout
    return Device(name, _title(name), precise, last, reasons, _memory(name))


def as_begun(record: Mapping[str, Any]) -> Device:
    """The device, the precision and the layout that a run began with, whatever would suit now.

    Args:
        record: as `description` gave it when the run began.

    Raises:
        Mismatch: this machine has no such device, or cannot compute so; or the record is damaged.
    """
    told = record if isinstance(record, Mapping) else {}  # it may come from a stranger
    name, precision, last = (told.get(key) for key in ("name", "precision", "channels_last"))
    known = [one for one in SETTINGS["device"].choices or () if one != "auto"]
    if name not in known or precision not in ("fp32", "bf16") or not isinstance(last, bool):
        raise Mismatch(
            f"plan.json is damaged: it says the device {name!r:.60}, {precision!r:.60}.",
            hint="Restore the file, or start a new run.",
        )
    began, hint = f"The run began on {name} in {precision}", "Go on with it on a machine that does"
    hint += ", or here, to other bits: zoo resume RUN --accept-drift"
    try:
        found = choose(str(name), str(precision), "on" if last else "off", layout="")
    except Unavailable as error:
        raise Mismatch(f"{began}, and this torch finds no such device here.", hint=hint) from error
    if precision == "bf16" and found.torch.type == "cuda" and not _has_bf16(found.name):
        raise Mismatch(f"{began}, which {found.title} cannot compute in.", hint=hint)
    reasons = told.get("reasons")
    return replace(found, reasons=tuple(map(str, reasons)) if isinstance(reasons, list) else ())


def _device(wanted: str) -> tuple[str, str]:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        if cuda:
            return "cuda", "a CUDA device is there"
        return ("mps", "an Apple GPU is there") if mps else ("cpu", "no accelerator was found")
    kind = wanted.split(":", maxsplit=1)[0]
    found = {"cpu": True, "cuda": cuda, "mps": mps}[kind]
    index = int(wanted.partition(":")[2] or 0)
    if not found or (kind == "cuda" and index >= torch.cuda.device_count()):
        message = f"--device {wanted}: this torch finds no such device here."
        raise Unavailable(message, hint="Use --device cpu, or see what zoo doctor finds.")
    return wanted, "as asked"


def _has_bf16(card: str) -> bool:
    """Whether a CUDA card computes in bfloat16 itself; torch tells that of the current one."""
    with torch.cuda.device(torch.device(card)):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def _precision(wanted: str, name: str) -> tuple[str, str]:
    if wanted != "auto":
        return wanted, "as asked"
    if name.startswith("cuda") and _has_bf16(name):
        return "bf16", "this GPU computes in bfloat16"
    if name == "cpu" and has_matrix_units():
        return "bf16", "this processor has matrix units for bfloat16"
    return "fp32", "full precision where bfloat16 is not known to pay"


def has_matrix_units() -> bool:
    """Whether the processor multiplies bfloat16 matrices in hardware (AMX).

    Measured with it, processor time for an image in bfloat16 and in float32: resnet18 7.4 and 22
    ms, resnet50 30 and 64, lite0 13 and 16.5.
    """
    capabilities = _capabilities()
    return bool(capabilities.get("amx_tile") and capabilities.get("amx_bf16"))


def processor() -> list[str]:
    """What of this processor decides which kernels compute on it, and so the last digits, sorted.

    torch goes by its vector instructions; oneDNN and MKL by all that it has, by its make and, to
    cut products into blocks, by its caches; and by switches in the environment.
    """
    vectors = f"vectors={torch.backends.cpu.get_cpu_capability()}"
    has = {name: value for name, value in _capabilities().items() if name not in _NO_MATTER}
    flags = [name for name, value in has.items() if value is True]
    rest = [f"{name}={value}" for name, value in has.items() if not isinstance(value, bool)]
    switches = [f"{name}={os.environ[name]}" for name in _SWITCHES if name in os.environ]
    return sorted([vectors, *flags, *rest, *switches])


def _capabilities() -> dict[str, Any]:
    """Flags, sizes in bytes and names, by cpuinfo; empty where this torch does not tell."""
    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return found


def _title(name: str) -> str:
    if name.startswith("cuda"):
        return torch.cuda.get_device_name(torch.device(name))
    return "Apple GPU" if name == "mps" else f"CPU, {torch.get_num_threads()} threads"


def _memory(name: str) -> int:
    if not name.startswith("cuda"):
        return 0
    return int(torch.cuda.get_device_properties(torch.device(name)).total_memory)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch says that memory ran out, on the device or on the host."""
    words = str(error)
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(said in words for said in _NO_MEMORY)
    )


def release(device: torch.device) -> None:
    """Give back the memory of a device that torch keeps for later, in pieces of other sizes."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def settle_modes(device: Device, *, deterministic: bool) -> None:
    """Ask torch for speed, or for the same bits in every run at some cost in speed.

    What an earlier run of this process asked for does not stay.

    Raises:
        UsageError: the device has no deterministic mode.
    """
    kind = device.torch.type
    if deterministic and kind == "mps":
        raise UsageError(
            "--deterministic: the mps device has no deterministic mode.",
            hint="Leave --deterministic out, or add --device cpu.",
        )
    if deterministic:  # cuBLAS reads this when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = kind == "cuda" and not deterministic
    torch.use_deterministic_algorithms(deterministic)


def description(device: Device) -> dict[str, Any]:
    """As plan.json and summary.json have it."""
    return {
        "name": device.name,
        "title": device.title,
        "precision": device.precision,
        "channels_last": device.channels_last,
        "memory": device.memory,
        "reasons": list(device.reasons),
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "torch": torch.__version__,
    }
