"""What this process may use of the machine, and how it waits and keeps memory while it computes."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from functools import cache
from pathlib import Path

#: where the kernel says how much processor time a group of processes gets
CGROUPS = Path("/sys/fs/cgroup")
#: this process's place in it
_OWN_CGROUP = Path("/proc/self/cgroup")
#: of glibc's mallopt
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
#: "never", as the C int that mallopt takes
_NEVER = 2**31 - 1
#: the largest block that comes from the heap, bytes: what we would have, and the most that a glibc
#: which knows a limit takes
_FROM_HEAP = (2**30, 2**25)


def cores() -> int:
    """How many processor cores this process may use: its affinity, less where a quota is lower."""
    quota = _quota()
    return min(_allowed(), max(1, math.ceil(quota))) if quota else _allowed()


def _allowed() -> int:
    """The cores that the scheduler may put this process on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota() -> float:
    """Processor time per time that the process's control groups leave it; 0 for no limit."""
    try:
        own = [line.split(":", 2) for line in _OWN_CGROUP.read_text().splitlines()]
    except OSError:  # no Linux
        return 0.0
    found: list[float] = []
    for _, controllers, place in own:
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = CGROUPS / "cpu" if controllers else CGROUPS
        inner = base / place.lstrip("/")
        # A limit of a group holds for all groups inside of it.
        found += [_share(one) for one in (inner, *inner.parents) if one.is_relative_to(base)]
    return min((share for share in found if share), default=0.0)


def _share(group: Path) -> float:
    """Quota over period of one control group, of either version; 0 for none."""
    for names in (("cpu.max",), ("cpu.cfs_quota_us", "cpu.cfs_period_us")):
        try:
            quota, period = " ".join((group / name).read_text() for name in names).split()
            return max(0.0, int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):  # not there, or "max"
            continue
    return 0.0


@cache
def settle() -> None:
    """Make this process fit for computing; before torch is loaded, and once.

    Each of it leaves alone what the user has set in the environment.
    """
    if "torch" not in sys.modules:  # else OpenMP has read them
        # Threads that wait by spinning take the cores from the ones that work, wherever cores are
        # few or shared: steps of a small head become tenfold slower.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        # OpenMP knows of affinity and not of quotas; threads beyond a quota are stopped in the
        # middle of what all others wait for.
        if cores() < _allowed():
            os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    _keep_memory()


def _keep_memory() -> None:
    """Let freed memory stay with the process, for the next step to use.

    By default glibc gives blocks of some megabytes back as soon as they are free, and the kernel
    fills them with zeros, page by page, when the next step asks for them again: a quarter of the
    processor time of a training step of a small network. What is kept is what the largest step
    needed.
    """
    names = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_")
    if any(name in os.environ for name in names):
        return
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or not _is_glibc():
        return
    mallopt = ctypes.CDLL(None).mallopt
    if any(mallopt(_MMAP_THRESHOLD, size) for size in _FROM_HEAP):
        mallopt(_TRIM_THRESHOLD, _NEVER)


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # another C library has no such name
        return False
