"""What is read, listed, explained or refused costs no torch: that is what makes it instant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.cli import main

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
HEAVY = {"torch", "torchvision", "timm", "torchmetrics"}

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
    assert "zoo.index" in imported
    assert not HEAVY & imported
    assert json.loads(run.stdout)


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
