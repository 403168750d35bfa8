"""Group C of the fault matrix: specs, settings, configuration files, output folders."""

from __future__ import annotations

import os
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import zoo as public
from zoo import corridor, draft, index, inference, structure
from zoo.index import Catalog, assemble
from zoo.plugins.distributions import Source
from zoo.plugins.loader import Offer

from .conftest import RUN, tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Ended, Zoo

pytestmark = pytest.mark.usefixtures("images")
#: what follows a spec in a run that would succeed
REST = RUN[2:]


def refused(zoo: Zoo, *arguments: object, code: int, words: tuple[str, ...]) -> Ended:
    """A command that says what is wrong and leaves nothing."""
    before = tree(Path())
    ended = zoo(*arguments)
    assert (ended.code, ended.out) == (code, "")
    for one in words:
        assert one in ended.err
    assert tree(Path()) == before
    return ended


# C1


@pytest.mark.parametrize(
    ("spec", "column"),
    [
        pytest.param("tiny/net+linear", 16, id="C1-two-parts"),
        pytest.param("tiny/net++cekl", 10, id="C1-empty-part"),
        pytest.param("+", 1, id="C1-plus"),
        pytest.param("++", 1, id="C1-pluses"),
        pytest.param("", 1, id="C1-nothing"),
        pytest.param("tiny/net+linear+ce+ce", 19, id="C1-four-parts"),
        pytest.param("tiny/n\u0435t+linear+ce", 7, id="C1-cyrillic-letter"),
        pytest.param("tiny/net\uff0blinear\uff0bce", 9, id="C1-wide-plus"),
        pytest.param("tiny/net+linear+ce\u200b", 19, id="C1-zero-width-space"),
        pytest.param("tiny/net+line\u0131r+ce", 14, id="C1-dotless-i"),
        pytest.param("\x1b[2J+linear+ce", 1, id="C1-escape"),
        pytest.param("tiny/net+linear\n+ce", 16, id="C1-newline"),
        pytest.param("tiny/net+linear+ce:{0.__class__}", 20, id="C1-format-string"),
    ],
)
def test_a_spec_that_is_none_is_pointed_at(zoo: Zoo, spec: str, column: int) -> None:
    ended = refused(zoo, "run", spec, *REST, code=2, words=(f"^ column {column}: ",))
    _, shown, caret, *_ = ended.err.splitlines()
    assert caret.index("^") <= len(shown)
    assert ended.err.isprintable() or "\n" in ended.err
    assert not {"\x1b", "\u200b"} & set(ended.err)
    assert "resnet18+linear+cekl" in ended.err  # an example of a right one


@pytest.mark.parametrize("letter", ["a", "+", "a+", "\u0435"])
def test_c1_an_endless_spec_is_refused_at_once(zoo: Zoo, letter: str) -> None:
    began = time.monotonic()
    ended = refused(zoo, "run", letter * 10_000, *REST, code=2, words=("too long", "--set"))
    assert time.monotonic() - began < 1
    assert len(ended.err) < 500


# C2, C3


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param("tiny/nett+linear+ce", ("'nett'", "tiny/net"), id="C2-backbone"),
        pytest.param("tiny/net+liner+ce", ("no head 'liner'", "heads/linear"), id="C2-head"),
        pytest.param("tiny/net+linear+cekk", ("no loss 'cekk'", "losses/cekl"), id="C2-loss"),
        pytest.param("tiny/net.v9+linear+ce", ("tag 'v9'", "tiny/net.v1"), id="C2-tag"),
        pytest.param("tinny/net+linear+ce", ("namespace 'tinny'", "tiny/net"), id="C2-namespace"),
        pytest.param("tiny/net+cekl+ce", ("not a head but a loss",), id="C2-another-kind"),
        pytest.param("timm/resnet81+linear+ce", ("uv pip install zoo-timm",), id="C2-own-plugin"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(
    zoo: Zoo, spec: str, words: tuple[str, ...]
) -> None:
    ended = refused(zoo, "run", spec, *REST, code=69, words=words)
    # only what zoo itself publishes is offered for installation
    assert ("pip install" in ended.err) == ("zoo-timm" in ended.err)


@pytest.mark.parametrize("order", [("acme", "bolt"), ("bolt", "acme")])
@pytest.mark.parametrize("name", ["linear", "shine"])
def test_c3_no_order_of_installation_decides_what_a_shared_name_means(
    zoo: Zoo, make_catalog: Callable[[], Catalog], monkeypatch: pytest.MonkeyPatch,
    *, order: tuple[str, str], name: str,
) -> None:  # fmt: skip
    catalog = make_catalog()
    linear = catalog.get("heads/linear")
    assert linear
    head = replace(linear.component, name=name)
    both = assemble(
        Offer(Source(namespace, "1.0", namespace, "m", "f"), components={"head": (head,)})
        for namespace in order
    )
    installed = Catalog((*catalog.listed, *both.listed))
    for room in (corridor, draft, index, inference, structure):
        monkeypatch.setattr(room, "catalog", lambda: installed)
    bare = (f"tiny/net+{name}+ce", *REST, "--dry-run")
    if name == "linear":  # zoo's own, whoever else has the name
        assert "head     heads/linear" in zoo("run", *bare).out
    else:
        words = ("acme/shine (acme 1.0)", "bolt/shine (bolt 1.0)", "with its namespace")
        refused(zoo, "run", *bare, code=69, words=words)
    for namespace in order:
        told = zoo("run", f"tiny/net+{namespace}/{name}+ce", *REST, "--dry-run")
        assert told.code == 0
        assert f"head     {namespace}/{name} ({namespace} 1.0)" in told.out


# C4


def test_c4_a_pair_that_cannot_fit_is_refused_before_the_data_are_looked_at(
    zoo: Zoo, tiny: Callable[..., Catalog]
) -> None:
    tiny(provides=("tokens",))
    nowhere = ["nowhere" if one == "images" else one for one in REST]
    refused(
        zoo, "run", "tiny/net+linear+ce", *nowhere, code=2, words=("features", "tokens", "linear")
    )


def test_c4_widths_that_differ_are_found_without_training(
    zoo: Zoo, tiny: Callable[..., Catalog]
) -> None:
    tiny(facts=public.Facts(features=12, input_size=(32, 32)))
    words = ("tiny/net (zoo-tiny 1.0) declares 12 features and gives 8",)
    refused(zoo, "run", "tiny/net+linear+ce", *REST, code=70, words=words)


# C5


@pytest.mark.parametrize(
    ("given", "word"),
    [
        pytest.param(("--lr", "nan"), "lr wants", id="C5-lr-nan"),
        pytest.param(("--lr", "-1"), "lr wants", id="C5-lr-negative"),
        pytest.param(("--lr", "1e999"), "lr wants", id="C5-lr-infinite"),
        pytest.param(("--epochs", "0"), "epochs wants", id="C5-no-epochs"),
        pytest.param(("--batch-size", "0"), "batch_size wants", id="C5-no-batch"),
        pytest.param(("--batch-size", "9" * 30), "batch_size wants", id="C5-endless-batch"),
        pytest.param(("--set", "workers=1000000"), "workers wants", id="C5-workers"),
        pytest.param(("--set", "epoch=3"), "did you mean 'epochs'?", id="C5-near"),
        pytest.param(("--seed", "one"), "seed wants a whole number", id="C5-type"),
        pytest.param(("--set", "balance=maybe"), "balance wants one of", id="C5-choice"),
        pytest.param(("--set", "seed=1", "--set", "seed=2"), "given twice", id="C5-twice"),
        pytest.param(("--set", "head.dropout=x"), "head.dropout wants", id="C5-option"),
        pytest.param(("--set", "head.nope=1"), "head.nope is not known", id="C5-option-unknown"),
    ],
)
def test_a_setting_that_cannot_be_is_named(zoo: Zoo, given: tuple[str, ...], word: str) -> None:
    rest = [*REST]
    if "--epochs" in given:
        del rest[rest.index("--epochs") : rest.index("--epochs") + 2]
    refused(zoo, "run", RUN[1], *rest, *given, code=2, words=(word,))


def test_c5_all_problems_come_at_once(zoo: Zoo) -> None:
    given = ("--lr", "nan", "--batch-size", "0", "--set", "nope=1", "--set", "head.dropout=7")
    words = (
        "4 problems",
        "lr wants",
        "batch_size wants",
        "nope is not known",
        "head.dropout wants",
    )
    refused(zoo, "run", RUN[1], *REST, *given, code=2, words=words)


# C6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("schema = 1\nx = " + "[" * 100_000, ("x.toml", "too deep"), id="C6-depth"),
        pytest.param(
            "schema = 1\n[defaults]\n" + ".".join("a" * 2_000) + " = 1",
            ("x.toml:3",),
            id="C6-dots",
        ),
        pytest.param("schema = 1\n[defaults]\nlr = 1\nlr = 2\n", ("x.toml:4",), id="C6-key-twice"),
        pytest.param("schema = 1\nlr = !!python/object:os.system\n", ("x.toml:2",), id="C6-yaml"),
        pytest.param('schema = "1"\n', ("x.toml:1", "schema = 1"), id="C6-schema"),
        pytest.param("\x00", ("x.toml:1",), id="C6-zero-byte"),
        pytest.param(
            "schema = 1\n[entries.'\x1b[2J']\nspec = 'a'\n", ("x.toml:2",), id="C6-escape"
        ),
    ],
)
def test_a_file_that_is_no_registry_is_refused_with_its_line(
    zoo: Zoo, text: str, words: tuple[str, ...]
) -> None:
    Path("x.toml").write_text(text)
    began = time.monotonic()
    refused(zoo, "run", RUN[1], *REST, "--registry", "x.toml", code=2, words=words)
    assert time.monotonic() - began < 5


def test_c6_of_an_endless_file_only_the_beginning_is_read(zoo: Zoo) -> None:
    Path("x.toml").touch()
    os.truncate("x.toml", 2**40)
    tracemalloc.start()
    try:
        before = Path("x.toml").stat().st_size
        ended = zoo("run", RUN[1], *REST, "--registry", "x.toml")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert before == 2**40
    assert ended.code == 2
    assert "x.toml is too large: at most 1,000,000 bytes" in ended.err
    assert most < 20_000_000


@pytest.mark.parametrize(
    "text", ["${HOME}", "{0.__class__}", "%(asctime)s", "$(id)", "{{7*7}}", "~"]
)
def test_c6_nothing_in_a_file_is_expanded(zoo: Zoo, text: str) -> None:
    Path("registry.toml").write_text(
        f"schema = 1\n[entries.x]\nspec = '{RUN[1]}'\nsummary = '{text}'\ndata = '{text}/d'\n"
    )
    assert text in zoo("show", "x").out
    ended = zoo("run", "x", "--dry-run")
    assert ended.code == 66
    assert f"{Path.home() if text == '~' else text}/d is not there" in ended.err


# C7


def test_c7_an_output_folder_that_is_not_zoos_to_take_is_left_alone(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("home").mkdir()
    Path("home/letter.txt").write_text("dear")
    monkeypatch.setenv("HOME", str(Path("home").absolute()))
    Path("foreign").mkdir()
    Path("foreign/thesis.tex").write_text("ten years")
    Path("hidden").mkdir()
    Path("hidden/.git").mkdir()
    Path("file").write_text("a file")
    Path("link").symlink_to("nowhere")
    places = {
        "images": "inside the data folder",
        "images/ant": "inside the data folder",
        ".": "not empty",
        "/": "not empty",
        "home": "not empty",
        "foreign": "not empty",
        "hidden": "not empty",
        "file": "cannot be made: File exists",
        "file/below": "cannot be made: Not a directory",
        "link": "cannot be made: File exists",
        "x" * 300: "cannot be made: File name too long",
    }
    for place, words in places.items():
        arguments = [place if one == "out" else one for one in RUN]
        refused(zoo, *arguments, code=73, words=(words, "--out"))


def test_c7_a_finished_run_is_not_overwritten(zoo: Zoo) -> None:
    assert zoo(*RUN).code == 0
    before = tree(Path("out"))
    refused(zoo, *RUN, code=73, words=("not empty", "zoo resume"))
    assert tree(Path("out")) == before


# C8


@pytest.mark.parametrize(
    "given",
    [
        ("--lr", "1"), ("--epochs", "9"), ("--seed", "9"), ("--batch-size", "2"),
        ("--set", "lr=1"), ("--device", "cpu"), ("--train", "full"),
    ],
)  # fmt: skip
def test_c8_a_run_goes_on_as_planned_or_not_at_all(zoo: Zoo, given: tuple[str, str]) -> None:
    refused(zoo, "resume", "out", *given, code=2, words=("No such option", given[0]))


def test_c8_a_spec_is_no_argument_of_resume(zoo: Zoo) -> None:
    refused(
        zoo, "resume", "out", "tiny/net+linear+ce", code=2, words=("unexpected extra argument",)
    )
