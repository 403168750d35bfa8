from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from zoo.cli.plugins import table
from zoo.components import Component
from zoo.plugins.distributions import Source
from zoo.plugins.loader import Offer, Problem
from zoo.plugins.selection import Off

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.cli.conftest import Zoo


def source(name: str) -> Source:
    return Source(f"zoo-{name}", "1.0", name, f"zoo_{name}", "fingerprint")


def component(name: str) -> Component:
    return Component(name=name, target="x:build")


OFFERS = (
    Offer(
        source("acme"),
        components={"backbone": (component("a"), component("b")), "head": (component("c"),)},
        entries=("zoo_acme:entries.toml",),
        seconds=0.0123,
    ),
    Offer(
        source("out"),
        problem=Problem("zoo-out", "1.0", "SystemExit: 3", "Traceback:\n  last\x1b[2J line"),
    ),
    Offer(
        source("heavy"),
        components={"loss": (component("d"),)},
        heavy=("torch",),
        problem=Problem("zoo-heavy", "1.0", "listing it imports torch", quarantined=False),
    ),
)


@pytest.fixture
def zoo(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Zoo:
    """Run `zoo plugins` over given offers; gives (exit code, standard output, standard error)."""
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))

    def run(offered: Sequence[Offer], *arguments: str) -> tuple[object, str, str]:
        monkeypatch.setattr(table, "offers", lambda: offered)
        return zoo("plugins", *arguments)

    return run


def test_the_table_shows_what_each_brings_and_what_became_of_it(zoo: Zoo) -> None:
    code, out, _ = zoo(OFFERS)
    assert code == 0
    rows = [line.split(maxsplit=3) for line in out.splitlines()[1:4]]
    assert [row[:3] for row in rows] == [
        ["zoo-acme", "1.0", "acme"],
        ["zoo-out", "1.0", "out"],
        ["zoo-heavy", "1.0", "heavy"],
    ]
    assert rows[0][3].split("  ")[0] == "2 backbones, 1 head, 1 registry file"
    assert [row[3].split()[-1] for row in rows] == ["ok", "quarantined", "slow"]


def test_reason_and_detail_follow_escaped(zoo: Zoo) -> None:
    _, out, _ = zoo(OFFERS)
    assert "zoo-out 1.0 is quarantined: SystemExit: 3\n    Traceback:\n" in out
    assert "      last\\x1b[2J line\n" in out
    assert "zoo-heavy 1.0 is slow: listing it imports torch\n" in out


def test_a_registry_file_that_is_left_out_is_told_with_its_fault(zoo: Zoo) -> None:
    _, out, _ = zoo(OFFERS)
    said = (
        "zoo-acme 1.0: entries that it ships are left out, all else of it is there:\n    There is "
    )
    assert said in out


def test_json_holds_the_same(zoo: Zoo) -> None:
    _, out, _ = zoo(OFFERS, "--json")
    acme, quarantined, heavy = json.loads(out)
    assert acme == {
        "distribution": "zoo-acme",
        "version": "1.0",
        "namespace": "acme",
        "module": "zoo_acme",
        "status": "ok",
        "components": {"backbone": 2, "head": 1},
        "entries": ["zoo_acme:entries.toml"],
        "import_seconds": 0.0123,
        "heavy": [],
        "checked": "not checked",
        "problem": None,
        "disabled": None,
        "entries_left_out": "There is no package 'zoo_acme' for the registry file "
        "zoo_acme:entries.toml.",
    }
    assert quarantined["problem"]["reason"] == "SystemExit: 3"
    assert (heavy["status"], heavy["heavy"]) == ("slow", ["torch"])


def test_a_quarantine_comes_with_the_lines_that_end_it(zoo: Zoo) -> None:
    _, out, _ = zoo(OFFERS)
    told = out[out.index("zoo-out 1.0 is quarantined") : out.index("zoo-heavy 1.0 is slow")]
    assert [line.strip() for line in told.splitlines()][-4:] == [
        "to remove it: uv pip uninstall zoo-out",
        "to upgrade it: uv pip install --upgrade zoo-out",
        "to leave it out: zoo plugins disable zoo-out",
        "",
    ]


def test_a_disabled_plugin_is_shown_with_what_disables_it(zoo: Zoo) -> None:
    out_of_it = replace(source("off"), off=Off("-p no:off", "Leave out -p no:off."))
    _, out, _ = zoo((*OFFERS, Offer(out_of_it)))
    assert "\nzoo-off 1.0 is disabled by -p no:off. Leave out -p no:off.\n" in out
    record = json.loads(zoo((Offer(out_of_it),), "--json")[1])[0]
    assert (record["status"], record["disabled"]) == ("disabled", "-p no:off")


def test_names_that_a_third_party_shares_are_told(zoo: Zoo) -> None:
    names = ("a", "b", "d", "e", "f")
    timm = Offer(source("timm"), components={"backbone": tuple(map(component, names))})
    acme = Offer(source("acme"), components={"backbone": tuple(map(component, names))})
    _, out, _ = zoo((acme, timm))
    assert (
        "acme/a (zoo-acme 1.0): a goes on to mean timm/a (zoo-timm 1.0); "
        "to change that: zoo prefer acme/a\n" in out
    )
    assert "zoo-acme shares 2 more names with others.\n" in out


def test_without_plugins_there_is_the_line_that_installs_some(zoo: Zoo) -> None:
    code, out, err = zoo(())
    assert (code, out) == (0, "")
    assert "uv pip install 'zoo-registry[standard]'" in err


def test_an_unknown_command_of_plugins_is_refused_and_the_table_is_not_shown(zoo: Zoo) -> None:
    code, out, err = zoo(OFFERS, "ad")
    assert (code, out) == (2, "")
    assert "There is no command 'ad'." in err
    assert "Try: zoo plugins" in err
