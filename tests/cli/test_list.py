import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from zoo import index
from zoo.cli.list import command, condition, fitting, matches
from zoo.cli.rows import count, side
from zoo.components import Component, Deprecated, Facts, Option, Preprocess, Weights
from zoo.errors import UsageError
from zoo.index import Catalog, Listed


def weights(tag: str, *, default: bool = False, **more: object) -> Weights:
    return Weights(tag=tag, default=default, source="https://x", **more)  # type: ignore[arg-type]


BIG = Component(
    name="bignet",
    target="m:f",
    summary="A big one.",
    provides=("features",),
    facts=Facts(params=25_000_000, features=2048, input_size=(224, 224), layout="conv"),
    weights=(
        weights("v1", top1=76.1, licence="BSD-3-Clause"),
        weights(
            "v2",
            default=True,
            top1=80.9,
            licence="CC-BY-NC-4.0",
            preprocess=Preprocess(size=(384, 384), resize=(384, 384)),
        ),
    ),
)
SMALL = Component(
    name="smallnet",
    target="m:f",
    provides=("features",),
    aliases=("tiny",),
    facts=Facts(params=4_000_000, features=512),
    weights=(weights("v1", default=True, top1=60.0, licence="BSD-3-Clause"),),
)
UNKNOWN = Component(
    name="mystery", target="m:f", provides=("features",), deprecated=Deprecated(since="0.2")
)
HEAD = Component(name="linear", target="m:f", options={"dropout": Option(type="float", default=0)})
CATALOG = Catalog(
    (
        Listed("backbone", "acme", "zoo-acme", "1.0", BIG),
        Listed("backbone", "acme", "zoo-acme", "1.0", UNKNOWN),
        Listed("backbone", "other", "zoo-other", "2.0", SMALL),
        Listed("head", "heads", "zoo-heads", "0.1", HEAD),
    )
)


@pytest.fixture(autouse=True)
def fake_catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cold: Callable[[], None]) -> None:
    cold()  # there may be a listing of the real catalog
    monkeypatch.setattr(index, "catalog", lambda: CATALOG)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments), catch_exceptions=False)


def names(*arguments: str) -> list[str]:
    return [record["name"] for record in json.loads(run("--json", *arguments).stdout)]


def test_everything_is_listed_components_first() -> None:
    found = names()
    assert found[:4] == ["bignet", "mystery", "smallnet", "linear"]
    assert "demo" in found[4:]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--params", "<10M"], ["smallnet"]),
        (["--params", ">=4M", "--params", "<=25M"], ["bignet", "smallnet"]),
        (["--features", "512"], ["smallnet"]),
        (["--size", ">224"], ["bignet"]),
        (["--top1", ">75"], ["bignet"]),
        (["--top1", "=60"], ["smallnet"]),
        (["--top1", ">75", "--params", "<10M"], []),
        (["--licence", "bsd*"], ["smallnet"]),
        (["--licence", "nc"], ["bignet"]),
        (["--namespace", "acme"], ["bignet", "mystery"]),
        (["--kind", "head"], ["linear"]),
        (["net", "--kind", "backbone"], ["bignet", "smallnet"]),
        (["*NET"], ["bignet", "smallnet"]),
        (["acme/*"], ["bignet", "mystery"]),
        (["tiny", "--kind", "backbone"], ["smallnet"]),
        (["--kind", "backbone", "--sort", "params"], ["smallnet", "bignet", "mystery"]),
        (["--kind", "backbone", "--sort", "top1"], ["bignet", "smallnet", "mystery"]),
        (["--kind", "backbone", "--sort", "features"], ["smallnet", "bignet", "mystery"]),
        (["--kind", "backbone", "--sort", "name"], ["bignet", "mystery", "smallnet"]),
    ],
)
def test_filters_and_orders_go_by_what_is_known(arguments: list[str], found: list[str]) -> None:
    assert names(*arguments) == found


def test_an_order_by_what_nobody_states_is_admitted() -> None:
    assert "None of them states its top1" in run("mystery", "--sort", "top1").stderr
    assert "None of them" not in run("net", "--sort", "top1").stderr
    assert "None of them" not in run("mystery", "--sort", "name").stderr


def test_a_record_has_every_key_and_survives_as_data() -> None:
    (record,) = json.loads(run("bignet", "--json").stdout)
    assert (record["kind"], record["namespace"], record["name"]) == ("backbone", "acme", "bignet")
    assert (record["plugin"], record["version"]) == ("zoo-acme", "1.0")
    assert record["facts"] == {
        "params": 25_000_000,
        "features": 2048,
        "input_size": [224, 224],
        "layout": "conv",
    }
    assert [one["tag"] for one in record["weights"]] == ["v1", "v2"]
    assert record["weights"][1]["preprocess"]["size"] == [384, 384]
    assert record["weights"][0]["default"] is False


def test_all_records_share_the_promised_keys() -> None:
    promised = {"kind", "namespace", "name", "plugin", "version", "summary", "facts", "weights"}
    records = json.loads(run("--json").stdout)
    assert all(promised <= set(record) for record in records)


def test_an_entry_is_listed_with_its_spec_and_the_origins_of_its_settings() -> None:
    Path("registry.toml").write_text(
        'schema = 1\n[entries.mine]\nspec = "bignet+linear+ce"\nlr = 0.1\n'
    )
    (record,) = json.loads(run("mine", "--json").stdout)
    assert record["spec"] == "bignet+linear+ce"
    assert record["settings"] == {"lr": {"value": 0.1, "origin": "registry.toml:4"}}
    assert "mine" in names("bignet")


def test_one_more_registry_file_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('schema = 1\n[entries.theirs]\nspec = "a+b+c"\n')
    assert names("theirs", "--registry", str(tmp_path / "x.toml")) == ["theirs"]


def test_the_table_is_plain_and_the_count_stands_on_standard_error() -> None:
    shown = run("--kind", "backbone")
    lines = shown.stdout.splitlines()
    assert lines[0].split() == [
        "kind", "name", "params", "features", "input", "top1", "tags", "licence", "summary",
    ]  # fmt: skip
    assert lines[1].split()[:7] == ["backbone", "acme/bignet", "25M", "2048", "384", "80.9", "2"]
    assert "deprecated since 0.2" in lines[2]
    assert "\x1b" not in shown.stdout
    assert shown.stderr == "3 backbones. zoo show NAME tells more.\n"


def test_empty_columns_are_left_out() -> None:
    assert run("--kind", "head").stdout.splitlines()[0].split() == ["kind", "name"]


CELLS = [["backbone", "acme/bignet", "25M", "512", "224", "80.9", "2 (v2)", "MIT", "x" * 60]]


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (None, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (200, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (90, [0, 1, 2, 3, 4, 5, 8]),
        (80, [1, 2, 3, 4, 5, 8]),
        (20, [1, 2, 5, 8]),
    ],
)
def test_a_narrow_terminal_loses_columns_but_never_the_name(
    width: int | None, columns: list[int]
) -> None:
    assert fitting(CELLS, width) == columns


def test_tags_get_a_line_each_with_their_own_facts() -> None:
    lines = run("bignet", "--tags").stdout.splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["acme/bignet.v1", "acme/bignet.v2"]
    assert "76.1" in lines[0]
    assert "default" in lines[1]


def test_nothing_found_is_no_error_and_says_what_is_near() -> None:
    shown = run("bignot")
    assert (shown.exit_code, shown.stdout) == (0, "")
    assert "Nothing matches 'bignot'." in shown.stderr
    assert "bignet" in shown.stderr
    assert "What is not known" in run("--top1", ">99").stderr
    assert run("bignot", "--json").stdout == "[]\n"


@pytest.mark.parametrize("text", ["<", "10X", "many", "<-3", "1.2.3", "< 10 M M"])
def test_a_condition_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no condition"):
        condition("params", text)


@given(
    st.sampled_from(["<", "<=", ">", ">=", "=", ""]),
    st.integers(0, 10**6),
    st.sampled_from(["", "K", "m", "G"]),
    st.integers(0, 10**12),
)
def test_a_condition_agrees_with_arithmetic(sign: str, number: int, unit: str, value: int) -> None:
    bound = number * {"": 1, "K": 10**3, "m": 10**6, "G": 10**9}[unit]
    compared = {
        "<": value < bound,
        "<=": value <= bound,
        ">": value > bound,
        ">=": value >= bound,
    }.get(sign, value == bound)
    assert condition("params", f"{sign}{number}{unit}")(value) == compared


def test_a_plain_word_matches_inside_and_a_glob_the_whole() -> None:
    assert matches("NET5", "resnet50")
    assert not matches("net*", "resnet50")
    assert matches("res*[05]0", "resnet50")
    assert matches("", "anything")


@pytest.mark.parametrize(
    ("number", "text"), [(7, "7"), (512, "512"), (11_176_512, "11.2M"), (1.2e9, "1.2G")]
)
def test_counts_are_said_as_people_say_them(number: float, text: str) -> None:
    assert count(number) == text


def test_sides_of_an_input() -> None:
    assert (side(None), side((224, 224)), side((224, 256))) == ("", "224", "224x256")
