from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from zoo.cli import doctor
from zoo.plugins.distributions import Source
from zoo.plugins.loader import Offer, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cli.conftest import Zoo


SOURCE = Source("zoo-out", "1.0", "out", "zoo_out", "fingerprint")
OUT = Offer(SOURCE, problem=Problem("zoo-out", "1.0", "SystemExit: 3"))
SLOW = Offer(SOURCE, problem=Problem("zoo-out", "1.0", "imports torch", quarantined=False))


@pytest.fixture
def zoo(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """Run `zoo doctor` with a stand-in for the question to torch."""

    def run(
        *arguments: str, offered: Sequence[Offer] = (), ask: str = "print('[\"cpu\"]')"
    ) -> tuple[object, str, str]:
        monkeypatch.setattr(doctor, "offers", lambda: offered)
        monkeypatch.setattr(doctor, "_ASK_TORCH", ask)
        return zoo("doctor", *arguments)

    return run


def test_a_healthy_machine_is_told_and_exits_0(zoo: Zoo) -> None:
    code, out, err = zoo()
    assert (code, err) == (0, "")
    assert "version  torch " in out
    assert "no problem" in out


def test_a_library_whose_metadata_is_half_removed_has_no_known_version(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "timm-1.0.dist-info").mkdir()
    (tmp_path / "timm-1.0.dist-info" / "METADATA").write_text("Name: timm\n")
    monkeypatch.syspath_prepend(tmp_path)
    code, out, _ = zoo()
    assert code == 0
    assert ["version", "timm", "unknown"] in [line.split() for line in out.splitlines()]


def test_folders_are_measured(zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "a.safetensors").write_bytes(bytes(1_500_000))
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    assert json.loads(zoo("--json")[1])["folders"]["cache"] == {
        "path": str(tmp_path),
        "bytes": {"weights": 1_500_000},
    }


@pytest.mark.parametrize(("offered", "code"), [(OUT, 70), (SLOW, 0)])
def test_only_a_quarantined_plugin_changes_the_exit_code(
    zoo: Zoo, offered: Offer, code: int
) -> None:
    ended, out, _ = zoo(offered=(offered,))
    assert ended == code
    assert "zoo-out 1.0" in out


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("raise ImportError('libcudart.so.13')", "ImportError: libcudart.so.13"),
        ("import os; os._exit(9)", "torch ends Python with 9"),
        ("import time; time.sleep(60)", "torch did not answer within 0.3 s"),
    ],
)
def test_a_broken_torch_does_not_break_the_doctor(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, program: str, problem: str
) -> None:
    monkeypatch.setattr(doctor, "_LIMIT", 0.3 if "sleep" in program else 30)
    code, out, _ = zoo("--json", ask=program)
    assert code == 0
    assert json.loads(out)["devices"] == {"found": [], "problem": problem}


def test_a_library_that_is_missing_is_named(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LIBRARIES", ("a-library-that-is-not",))
    assert json.loads(zoo("--json")[1])["versions"]["a-library-that-is-not"] == "not installed"


def test_the_doctor_does_not_import_torch_into_itself(zoo: Zoo) -> None:
    before = "torch" in sys.modules
    zoo()
    assert ("torch" in sys.modules) == before


def test_the_budget_is_told_and_a_limit_that_is_no_number_too(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "2e-6")
    (tmp_path / "pictures" / "x").mkdir(parents=True)
    (tmp_path / "pictures" / "x" / "rows.u8").write_bytes(bytes(500))
    budget = json.loads(zoo("--json")[1])["budget"]
    assert (budget["bytes"], budget["used"], budget["problem"]) == (2000, 500, "")
    monkeypatch.setenv("ZOO_CACHE_LIMIT", "much")
    assert "much" in zoo()[1]
