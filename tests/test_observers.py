from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import zoo
from zoo import hooks, observers
from zoo.errors import PluginFault, Unavailable
from zoo.plugins.distributions import Source

FOLDER = Path("runs/x-1")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Source(f"zoo-{name}", "1.0", name, f"observer_{name}", "fingerprint")
        for name in ("acme", "beta", "broken", "leaving", "odd")
    ]
    monkeypatch.setattr(observers, "sources", lambda: found)


def installed(monkeypatch: pytest.MonkeyPatch, name: str, heard: list[str]) -> None:
    module = ModuleType(f"observer_{name}")

    @zoo.hookimpl
    def zoo_run_end(event: hooks.RunEnd) -> None:
        heard.append(f"{name} {event.status}")

    module.__dict__["zoo_run_end"] = zoo_run_end
    monkeypatch.setitem(sys.modules, module.__name__, module)


def test_each_observer_is_told_in_the_order_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    for name in ("acme", "beta"):
        installed(monkeypatch, name, heard)
    watchers = observers.select(["beta", "acme"], heard.append)
    observers.end(watchers, FOLDER, "finished", {})
    assert heard == ["beta finished", "acme finished"]


def test_a_hook_that_a_plugin_lacks_is_nothing_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    installed(monkeypatch, "acme", heard)
    (watcher,) = observers.select(["acme"], heard.append)
    watcher.tell("zoo_epoch_end", hooks.EpochEnd(FOLDER, {}))
    assert heard == []


def test_nobody_is_asked_and_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        pytest.fail("no plugin was asked for")

    monkeypatch.setattr(observers, "sources", never)
    assert observers.select([], print) == ()
    observers.start((), FOLDER, "plan.json")


def test_a_name_that_is_not_there_has_near_ones() -> None:
    with pytest.raises(Unavailable, match="--observe acne") as caught:
        observers.select(["acne"], print)
    assert caught.value.exit_code == 69
    assert "acme" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken", "raise RuntimeError('no licence')"),
        ("leaving", "raise SystemExit(0)"),
        ("odd", "import zoo\n@zoo.hookimpl\ndef zoo_run_end(what): pass"),
    ],
)
def test_an_observer_that_cannot_be_used_is_its_plugins_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    (tmp_path / f"observer_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginFault, match=rf"{name} \(zoo-{name} 1\.0\) cannot be used") as caught:
        observers.select([name], print)
    assert caught.value.exit_code == 70


def test_a_plugin_may_have_several_observers_each_a_module_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "observer_acme"
    package.mkdir()
    (package / "__init__.py").write_text(
        "import zoo\n@zoo.hookimpl\ndef zoo_observers(): return 'heavy', 'board'"
    )
    (package / "inner.py").write_text("")
    (package / "heavy.py").write_text("raise RuntimeError('nobody asked for this one')")
    (package / "board.py").write_text(
        "import zoo\nheard = []\n@zoo.hookimpl\ndef zoo_run_end(event): heard.append(event.status)"
    )
    monkeypatch.syspath_prepend(tmp_path)
    watchers = observers.select(["acme/board"], print)
    observers.end(watchers, FOLDER, "finished", {})
    assert sys.modules["observer_acme.board"].heard == ["finished"]
    for name in ("acme", "acme/borad", "acme/inner"):
        with pytest.raises(
            Unavailable, match=f"--observe {name}: zoo-acme 1.0 observes noth"
        ) as no:
            observers.select([name], print)
        assert "acme/board" in no.value.hint
