from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from zoo import machine

if TYPE_CHECKING:
    from pathlib import Path

#: torch's tensors come and go; how many pages the kernel had to fill for that
CHURN = """
import resource, sys
from zoo import hot
hot.room("order")
import torch
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    held = [torch.ones(4_000_000) for _ in range(4)]
for _ in range(5):
    step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""
#: of five steps of four tensors of 16 MB each
PAGES = 5 * 4 * 16_000_000 // 4096


def churned(**environment: str) -> int:
    """Pages filled, in a process of its own."""
    plain = {name: one for name, one in os.environ.items() if "MALLOC" not in name}
    ended = subprocess.run(
        [sys.executable, "-c", CHURN],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(ended.stdout)


@pytest.mark.skipif(not machine._is_glibc(), reason="only glibc has mallopt")  # noqa: SLF001 - is it here?
def test_memory_of_a_step_is_used_by_the_next_unless_the_user_has_said_otherwise() -> None:
    assert churned() < PAGES / 20
    assert churned(MALLOC_MMAP_THRESHOLD_="131072") > PAGES / 2


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process's control group; eight cores to run on."""
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    monkeypatch.setattr(machine, "_OWN_CGROUP", own)
    monkeypatch.setattr(machine, "_allowed", lambda: 8)
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    return tmp_path / "outer" / "inner"


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        ("max 100000", "max 100000", 8),
        ("200000 100000", "max 100000", 2),
        ("max 100000", "150000 100000", 2),
        ("50000 100000", "300000 100000", 1),
        ("1600000 100000", "max 100000", 8),
        ("damaged", "", 8),
    ],
)
def test_a_quota_of_any_group_around_the_process_bounds_its_cores(
    group: Path, inner: str, outer: str, expected: int
) -> None:
    (group / "cpu.max").write_text(inner + "\n")
    (group.parent / "cpu.max").write_text(outer + "\n")
    assert machine.cores() == expected


def test_a_quota_of_the_first_version_bounds_them_too(group: Path) -> None:
    (group.parents[1] / "own").write_text("3:memory:/else\n2:cpu,cpuacct:/job\n")
    job = group.parents[1] / "cpu" / "job"
    job.mkdir(parents=True)
    (job / "cpu.cfs_period_us").write_text("100000\n")
    for quota, expected in (("-1", 8), ("300000", 3)):
        (job / "cpu.cfs_quota_us").write_text(quota)
        assert machine.cores() == expected


def test_without_control_groups_affinity_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_OWN_CGROUP", tmp_path / "none")
    assert machine.cores() == machine._allowed() >= 1  # noqa: SLF001 - what is left


@pytest.mark.parametrize(("own", "expected"), [(None, "2"), ("5", "5")])
def test_no_more_threads_compute_than_a_quota_feeds(
    group: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, expected: str
) -> None:
    (group / "cpu.max").write_text("200000 100000\n")
    monkeypatch.setattr(machine, "_keep_memory", lambda: None)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.setenv("OMP_NUM_THREADS", own or "")
    if own is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    machine.settle.__wrapped__()
    assert os.environ["OMP_NUM_THREADS"] == expected
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    # What the room sets does not outlive the test.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
