"""What is published works: wheels of zoo, of its plugins and of a stranger's, and nothing else.

The stranger's plugin is the one that the README shows. What the wheels ask for is installed in the
versions that this environment has; uv's cache holds those, so a network is seldom needed.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Blocks

ROOT = Path(__file__).parents[1]
#: all that somebody types in a clean environment, from no package at all to a model with a new part
TYPED = (
    "zoo plugins new birch --kind head",
    "zoo plugins add ./zoo-birch",
    "zoo run lite0+birch/cosine+ce --data demo",
)
#: the most that it may take
COMMANDS = 4
UV = os.environ.get("UV") or shutil.which("uv") or "uv"


def uv(*arguments: str | Path) -> None:
    """Run uv, without the network if it can."""
    offline = subprocess.run([UV, *arguments, "--offline"], check=False, capture_output=True)
    if offline.returncode:
        subprocess.run([UV, *arguments], check=True)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory, readme: Blocks) -> Path:
    """A folder of wheels: the workspace's, and the README's plugin."""
    stranger, built = tmp_path_factory.mktemp("acme"), tmp_path_factory.mktemp("wheels")
    for name in ("pyproject.toml", *readme.plugin):
        file = stranger / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(readme.files[name])
    uv("build", "--quiet", "--wheel", "--all-packages", "--out-dir", built, ROOT)
    uv("build", "--quiet", "--wheel", "--out-dir", built, stranger)
    return built


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    """The programs of an environment that holds nothing but what those wheels ask for."""
    place = tmp_path_factory.mktemp("clean")
    pins = place / "constraints.txt"
    pins.write_text(
        "".join(
            f"{one.name}=={one.version}\n"
            for one in metadata.distributions()
            if not one.name.startswith("zoo-")
        )
    )
    uv("venv", "--quiet", "--python", sys.executable, place / "venv")
    found = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    core = next(wheels.glob("zoo_registry-*.whl"))
    # Links cost no space, wherever the temporary folder lies.
    source = ("--find-links", wheels, "--constraints", pins, "--link-mode", "symlink")
    wanted = (f"zoo-registry[standard] @ {core.as_uri()}", "zoo-acme")
    uv("pip", "install", "--quiet", "--python", found / "python", *source, *wanted)
    return found


def run(programs: Path, folder: Path, *arguments: str) -> str:
    """What `zoo` prints in a folder; its cache is one that every test here shares."""
    told = subprocess.run(
        [programs / "zoo", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "ZOO_CACHE": str(programs.parent / "zoo-cache")},
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_nothing_comes_from_the_checkout(programs: Path, tmp_path: Path) -> None:
    code = (
        "import zoo, zoo_heads, zoo_acme as a; print(zoo.__file__, zoo_heads.__file__, a.__file__)"
    )
    told = subprocess.check_output([programs / "python", "-c", code], text=True, cwd=tmp_path)
    assert all(Path(file).is_relative_to(programs.parent) for file in told.split())


def test_a_strangers_component_is_listed_under_its_namespace(
    programs: Path, tmp_path: Path
) -> None:
    heads = json.loads(run(programs, tmp_path, "list", "--kind", "head", "--json"))
    (cosine,) = (head for head in heads if head["namespace"] == "acme")
    assert (cosine["name"], cosine["plugin"], cosine["version"]) == ("cosine", "zoo-acme", "0.1.0")


def test_every_wheel_brings_its_plugin_and_the_core_its_registry(
    programs: Path, tmp_path: Path
) -> None:
    plugins = json.loads(run(programs, tmp_path, "plugins", "--json"))
    assert {plugin["distribution"] for plugin in plugins} == {
        "zoo-acme",
        "zoo-efficientnet-lite",
        "zoo-heads",
        "zoo-losses",
        "zoo-timm",
        "zoo-torchvision",
    }
    assert "origin" in run(programs, tmp_path, "show", "demo")


def test_the_demo_trains_in_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    summary = json.loads(run(programs, tmp_path, "run", "demo", "--json"))
    assert summary["val"]["top1"] > 0.6  # one in five by chance
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_strangers_head_trains(programs: Path, tmp_path: Path) -> None:
    spec = "lite0+acme/cosine:scale=20+cekl"
    summary = json.loads(run(programs, tmp_path, "run", spec, "--data", "demo", "--json"))
    assert "acme/cosine" in summary["spec"]
    assert summary["val"]["top1"] > 0.6


@pytest.fixture
def typed(programs: Path, tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Type a command in an empty folder of that environment, which is as it was afterwards."""
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{Path(UV).parent}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(programs.parent),
        "ZOO_CACHE": str(programs.parent / "zoo-cache"),
    }

    def attempt(line: str, offline: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            shlex.split(line),
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment | {"UV_OFFLINE": offline},
        )

    def run_line(line: str) -> None:
        told = attempt(line, "1")
        if told.returncode and " add " in line:
            told = attempt(line, "0")
        assert told.returncode == 0, told.stderr

    yield run_line
    run_line("zoo plugins remove birch")


def test_few_commands_lead_from_nothing_to_a_model_with_a_part_of_ones_own(
    typed: Callable[[str], None], tmp_path: Path
) -> None:
    assert len(TYPED) <= COMMANDS
    for line in TYPED:
        typed(line)
    (file,) = tmp_path.glob("runs/*/summary.json")
    summary = json.loads(file.read_text())
    assert "+birch/cosine+" in summary["spec"]
    assert summary["val"]["top1"] > 0.6
    assert (file.parent / "model" / "model.safetensors").exists()
