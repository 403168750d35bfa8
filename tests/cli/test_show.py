import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from zoo import registry
from zoo.cli.show import command
from zoo.components import ByOption, Component, Deprecated, Facts, Option, Preprocess, Weights
from zoo.errors import InputMissing, Mismatch, UnknownName, UsageError
from zoo.index import Catalog, Listed
from zoo.resolve import resolve
from zoo.runfolder import RunFolder

NET = Component(
    name="resnet18",
    target="m:f",
    summary="Eighteen layers.",
    provides=("features",),
    options={"depth": Option(type="int", default=18, minimum=1, maximum=99, help="layers")},
    facts=Facts(params=11_176_512, features=512, input_size=(224, 224)),
    weights=(
        Weights(tag="old", top1=69.0),
        Weights(
            tag="new",
            default=True,
            top1=71.5,
            licence="MIT",
            preprocess=Preprocess(size=(256, 256), resize=(288, 288), crop="squash"),
        ),
    ),
)
CEKL = Component(
    name="cekl",
    target="m:f",
    options={"target": Option(type="str", default="smooth", choices=("smooth", "view"))},
    needs=("logits", "view_logits"),
    views=ByOption("target", {"view": 2}, 1),
)
DEMO = Component(name="demo", target="m:f", needs=("features",), provides=("logits", "view_logits"))
CATALOG = Catalog(
    (
        Listed("backbone", "acme", "zoo-acme", "9.0", Component(name="acmenet", target="m:f")),
        Listed("backbone", "timm", "zoo-timm", "1.0", NET),
        Listed("backbone", "torchvision", "zoo-torchvision", "0.1", NET),
        Listed("head", "heads", "zoo-heads", "0.1", DEMO),
        Listed("loss", "losses", "zoo-losses", "0.1", CEKL),
    )
)


@pytest.fixture(autouse=True)
def fake_catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys.modules["zoo.cli.show"], "catalog", lambda: CATALOG)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def test_a_backbone_is_shown_with_facts_options_and_tags() -> None:
    shown = run("resnet18").stdout
    assert shown.startswith("backbone torchvision/resnet18 (zoo-torchvision 0.1)\nEighteen layers.")
    assert "11,176,512 (11.2M)" in shown
    assert "timm/resnet18 (" in shown  # who lost, and why
    assert "depth   18       a whole number from 1 to 99  layers" in shown
    tags = shown[shown.index("Weights") :].splitlines()
    assert tags[2].split() == ["new", "default", "71.50", "256", "288", "squash", "bilinear", "MIT"]
    assert tags[3].split()[0] == "old"


def test_a_namespace_and_a_tag_choose() -> None:
    shown = run("timm/resnet18.old").stdout
    assert shown.startswith("backbone timm/resnet18 (zoo-timm 1.0)")
    assert "old" in shown
    assert "71.50" not in shown


def test_a_fact_that_depends_on_an_option_says_so() -> None:
    shown = run("cekl").stdout
    assert "1 (by target)" in shown
    assert "one of smooth, view" in shown


@pytest.mark.parametrize(
    ("use", "told"), [("losses/cekl", "since 0.3; use losses/cekl"), ("", "since 0.3")]
)
def test_what_will_go_is_shown_with_its_successor_if_it_has_one(
    monkeypatch: pytest.MonkeyPatch, use: str, told: str
) -> None:
    old = Component(name="old", target="m:f", deprecated=Deprecated(since="0.3", use=use))
    listed = Listed("loss", "losses", "zoo-losses", "0.1", old)
    monkeypatch.setattr(sys.modules["zoo.cli.show"], "catalog", lambda: Catalog((listed,)))
    shown = run("losses/old").stdout.splitlines()
    assert [line.split(maxsplit=1)[1] for line in shown if "deprecated" in line] == [told]


def test_json_is_the_record_of_the_list() -> None:
    record = json.loads(run("cekl", "--json").stdout)
    assert (record["kind"], record["namespace"], record["name"]) == ("loss", "losses", "cekl")
    assert record["views"] == {"by_option": "target", "table": {"view": 2}, "otherwise": 1}


def test_an_entry_is_shown_with_the_origin_of_each_setting() -> None:
    Path("registry.toml").write_text(
        'schema = 1\n[entries.mine]\nspec = "a+b+c"\nsummary = "Mine."\ndeterministic = true\n'
    )
    shown = run("mine").stdout
    assert shown.startswith("entry mine (registry.toml:3)\nMine.\n  spec  a+b+c")
    assert "deterministic  true   registry.toml:5" in shown
    assert json.loads(run("mine", "--json").stdout)["origin"] == "registry.toml:3"


def test_a_name_that_is_an_entry_and_a_head_is_the_entry_unless_the_kind_is_said() -> None:
    shown = run("demo")
    assert shown.stdout.startswith("entry demo (built in)")
    assert "There is also a head of that name: --kind head" in shown.stderr
    assert run("demo", "--kind", "head").stdout.startswith("head heads/demo")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet81", "timm/resnet18"),
        ("ckel", "losses/cekl"),
        ("strang", "strong"),
        ("resnet18+linear+ce", "--dry-run"),
        ("Runs/none-1", "zoo list"),
        ("acmenet", "acme/acmenet"),
        ("resnet18.nwe", "torchvision/resnet18.new"),
        ("timm/cekl", "losses/cekl"),
    ],
)
def test_a_miss_is_answered_with_what_to_type(name: str, words: str) -> None:
    with pytest.raises(UnknownName) as caught:
        run(name)
    assert words in caught.value.hint


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were asked to be built, in a pretended `zoo.structure`."""
    asked = []

    def structure(name: str, *, registry_file: Path | None) -> list[SimpleNamespace]:
        assert registry_file is None
        asked.append(name)
        return [
            SimpleNamespace(name="layer1", module="Conv2d", shape=(1, 64, 56, 56), params=9_408),
            SimpleNamespace(name="layer1.bn", module="BatchNorm2d", shape=(), params=128),
        ]

    monkeypatch.setitem(sys.modules, "zoo.structure", SimpleNamespace(structure=structure))
    return asked


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("resnet18:depth=3", "torchvision/resnet18:depth=3"),
        ("demo", "demo"),
        ("resnet18+demo+cekl", "resnet18+demo+cekl"),
    ],
)
def test_structure_builds_a_backbone_an_entry_or_a_spec(
    name: str, asked: str, built: list[str]
) -> None:
    lines = run(name, "--structure").stdout.splitlines()
    assert built == [asked]
    assert lines[-2].split() == ["layer1", "Conv2d", "[1,", "64,", "56,", "56]", "9,408"]
    assert lines[-1].startswith("  layer1.bn")


def test_structure_is_part_of_the_json(built: list[str]) -> None:
    record = json.loads(run("resnet18", "--structure", "--json").stdout)
    assert built == ["torchvision/resnet18"]
    assert record["name"] == "resnet18"
    assert record["structure"][0]["shape"] == [1, 64, 56, 56]


def test_structure_of_a_head_alone_is_refused(built: list[str]) -> None:
    with pytest.raises(UsageError, match="depends on the backbone"):
        run("demo", "--kind", "head", "--structure")
    assert not built


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "runs" / "a-1").mkdir(parents=True)
    with pytest.raises((InputMissing, UnknownName), match="run"):
        run("runs/a-1")


@pytest.fixture
def finished(tmp_path: Path) -> RunFolder:
    """A run folder with a plan and how it ended."""
    plan = resolve(
        "resnet18+heads/demo+cekl",
        {"lr": "0.1", "weights": "none", "loss.target": "view"},
        catalog=CATALOG,
        book=registry.load(),
    )
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    folder.write_plan(plan)
    val = {"top1": 0.9325, "macro_f1": 0.9, "n": 200}
    device = {"name": "cuda", "title": "H100", "precision": "bf16"}
    folder.write("summary.json", {"status": "finished", "val": val, "test": None, "device": device})
    folder.finish("finished", 0)
    return folder


def test_a_run_is_shown_with_its_figures_and_what_was_chosen(finished: RunFolder) -> None:
    lines = [line.split() for line in run("run").stdout.splitlines()]
    assert ["spec", finished.plan().spec] in lines
    assert ["status", "finished"] in lines
    assert ["val", "top-1", "93.25", "%,", "macro", "F1", "90.00", "%,", "200", "images"] in lines
    assert ["device", "H100", "(cuda,", "bf16)"] in lines
    assert ["lr", "0.1", "command", "line"] in lines
    assert ["loss.target", "view", "command", "line"] in lines


def test_a_runs_json_is_its_files(finished: RunFolder) -> None:
    record = json.loads(run("run", "--json").stdout)
    assert record["plan"]["spec"] == finished.plan().spec
    assert record["summary"]["val"]["n"] == 200
    assert record["exit"]["code"] == 0


@pytest.mark.parametrize("asked", [["--structure"], ["--kind", "backbone"]])
def test_a_run_has_no_structure_and_no_kind_and_its_spec_has(
    finished: RunFolder, asked: list[str]
) -> None:
    with pytest.raises(UnknownName, match="run is a run") as caught:
        run("run", *asked)
    assert f"zoo show {finished.plan().spec} --structure" in caught.value.hint


def test_a_run_that_was_cut_off_is_said_to_be_unfinished(finished: RunFolder) -> None:
    (finished.path / "summary.json").unlink()
    (finished.path / "exit.json").unlink()
    assert "not finished" in run("run").stdout


def test_a_damaged_plan_is_a_mismatch(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "plan.json").write_text('{"schema": 1, "settings": 3}')
    with pytest.raises(Mismatch):
        run("r")
