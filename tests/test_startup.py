"""What is read, listed, explained or refused costs no torch: that is what makes it instant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.plugins.conftest import Site
from zoo.cli import main, plugins

#: every command that answers without tensors, and the code that it exits with
LIGHT = {
    "--help": 0,
    "list": 0,
    "list --json": 0,
    "list --params <10M --sort top1": 0,
    "show resnet18": 0,
    "show demo": 0,
    "show cekl": 0,
    "why resnet18": 0,
    "why vit_b16": 69,
    "plugins": 0,
    "plugins new --help": 0,
    "plugins new acme --kind head --into .": 0,
    "prefer --list": 0,
    "run --help": 0,
    "bench --help": 0,
    "bench resnet18+linear --data x": 2,
    "run resnt18+linear+cekl --data x": 69,
    "run resnet18+cekl+linear --data x": 69,
    "run resnet18+linear --data x": 2,
    "run resnet18+linear:dropot=0.1+cekl --data x": 2,
    "run resnet18+linear+cekl --set lrr=1 --data x": 2,
    "run resnet18+linear+cekl:target=teacher --data x": 2,
    "run resnet18+linear+cekl --data ./nowhere": 66,
}
HEAVY = {"torch", "torchvision", "timm"}

#: a plugin's cold half; what it builds lies in a module that imports torch
LOSS = """
import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="warm", target="warm_hot:build", needs=("logits",))
"""

# Runs in a process of its own: says for each command how it ended and what it had imported by then.
CHILD = """
import contextlib, io, json, sys
from zoo.cli import main
told = {}
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            main(command.split())
        except SystemExit as ended:
            told[command] = [ended.code, sorted(sys.modules)]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str]]]:
    found = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps([*LIGHT])],
        check=True,
        stdout=subprocess.PIPE,
        cwd=tmp_path_factory.mktemp("empty"),
    )
    return {command: (code, names) for command, (code, names) in json.loads(found.stdout).items()}


@pytest.mark.parametrize("command", LIGHT)
def test_a_light_command_imports_no_tensor_library(
    command: str, told: dict[str, tuple[int, list[str]]]
) -> None:
    code, modules = told[command]
    assert code == LIGHT[command]
    assert not HEAVY & set(modules)


def test_help_imports_no_plugin_and_no_numpy(told: dict[str, tuple[int, list[str]]]) -> None:
    assert not {"numpy", "PIL", "zoo_timm", "zoo.index"} & set(told["--help"][1])


def test_the_table_of_plugins_imports_none_of_the_commands_beside_it(
    tmp_path: Path,
) -> None:
    beside = {f"zoo.cli.plugins.{name}" for name in plugins.COMMANDS}
    assert beside
    assert not (beside | {"zoo.scaffold"}) & imported(tmp_path, "plugins")


def test_the_installed_command_is_as_light(tmp_path: Path) -> None:
    zoo = Path(sys.executable).with_name("zoo")
    run = subprocess.run(
        [sys.executable, "-X", "importtime", zoo, "list", "--json"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "zoo.cli.listing" in imported
    assert not HEAVY & imported
    assert json.loads(run.stdout)


#: what costs as much as the whole answer; each command may import only the ones named with it
SLOW = {
    *HEAVY,
    *("numpy", "PIL", "rich", "pluggy", "packaging", "platformdirs", "safetensors"),
    *("importlib.metadata", "email", "tomllib", "pathlib", "dataclasses", "hashlib", "json"),
    *("subprocess", "tempfile", "shutil", "difflib", "html", "unicodedata", "urllib"),
    *("zoo.components", "zoo.hooks", "zoo.index", "zoo.registry", "zoo.plugins.distributions"),
    *("zoo.plugins.loader", "zoo_timm", "zoo_torchvision", "zoo_heads", "zoo_losses"),
}
ANSWERS: dict[str, set[str]] = {
    "--help": {"shutil"},  # which click asks for the width
    "list": set(),
    "list --tags": set(),
    "list --json": set(),
    "list --json --kind backbone": set(),
    "list resnet --params <30M --sort top1": set(),
    "list *_b[0-9] --namespace timm": set(),
    "list --kind entry": set(),
}

# Says what a command imported beyond what the bare interpreter had.
LEAN = """
import sys
bare = set(sys.modules)
from zoo.cli import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0, ended.code
print(*sorted(set(sys.modules) - bare), file=sys.stderr)
"""


def imported(folder: Path, command: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", LEAN, *command.split()],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    return set(run.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("command", ANSWERS)
def test_a_piped_answer_imports_nothing_slow(tmp_path: Path, command: str) -> None:
    names = imported(tmp_path, command)
    for _ in range(3):  # until it is kept: what was written just now is not relied on
        if "zoo.index" not in names:
            break
        time.sleep(1)
        names = imported(tmp_path, command)
    assert "click" in names
    assert SLOW & names == ANSWERS[command]


def test_a_plugin_whose_hot_half_imports_torch_costs_one_look_at_its_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "site")
    site.folder.mkdir()
    modules = {"warm_zoo.py": LOSS, "warm_hot.py": "import torch\n"}
    info = site.add("zoo-warm", "1.0", {"warm": "warm_zoo"}, modules)
    for file in (*info.iterdir(), *site.folder.glob("*.py")):
        os.utime(file, (1, 1))
    monkeypatch.syspath_prepend(site.folder)
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    first, second, third = (imported(tmp_path, "list warm") for _ in range(3))
    assert "zoo.plugins.children" in first
    assert "zoo.plugins.children" not in second
    assert not {"warm_zoo", "warm_hot", "torch"} & (first | second | third)
    assert not SLOW & third


def listed(namespace: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The backbones that `zoo list --json` names under a namespace."""
    with pytest.raises(SystemExit) as ended:
        main(["list", "--json", "--kind", "backbone", "--namespace", namespace])
    assert ended.value.code == 0
    return {row["name"] for row in json.loads(capsys.readouterr().out)}


def test_every_timm_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    import timm

    assert listed("timm", capsys) == set(timm.list_models())


def test_every_classification_builder_of_torchvision_is_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from torchvision import models

    # Those of detection, segmentation, video and optical flow live in submodules of their own.
    assert listed("torchvision", capsys) == set(models.list_models(module=models))
