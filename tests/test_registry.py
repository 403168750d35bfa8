import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import zoo
from zoo import folders, registry, toml
from zoo.errors import InputMissing, StorageFault, Unavailable, UnknownName, UsageError
from zoo.index import catalog
from zoo.registry import Placed, Registry
from zoo.registry_file import json_schema
from zoo.resolve import resolve

HEAD = "schema = 1\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an empty configuration folder beside it."""
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def loaded(text: str, **files: str) -> Registry:
    """The registry with `text` in the working directory's file."""
    Path("registry.toml").write_text(HEAD + text)
    if "user" in files:
        (folders.config() / "registry.toml").write_text(HEAD + files["user"])
    if "extra" in files:
        Path("extra.toml").write_text(HEAD + files["extra"])
    return registry.load(Path("extra.toml") if "extra" in files else None)


def complaint(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(text)
    return caught.value.message


def test_the_built_in_entries_are_there_with_summaries() -> None:
    shipped = registry.load()
    assert {"demo", "fast", "strong", "vit", "founding", "offline"} <= set(shipped.entries)
    assert all(entry.summary for entry in shipped.entries.values())
    assert shipped.entry("demo").settings["train"] == Placed("probe", "built in")
    assert shipped.entry("founding").settings["train"].value == "probe"


@pytest.mark.parametrize("name", toml.read(registry.built_in(), label="").values["entries"])
def test_every_built_in_entry_resolves_against_the_installed_plugins(name: str) -> None:
    plan = resolve(name, {}, catalog=catalog(), book=registry.load())
    assert plan.weights.mode == "tag"
    assert not [problem for problem in catalog().problems if problem.quarantined]


def test_an_entry_keeps_the_origin_of_each_value() -> None:
    entry = loaded(
        '[entries.mine]\nspec = "a+b+c"\nprobe.epochs = 3\n[entries.mine.head]\ndropout = 0.5\n'
    ).entry("mine")
    assert (entry.spec, entry.summary, entry.origin) == ("a+b+c", "", "registry.toml:3")
    assert entry.settings == {
        "probe.epochs": Placed(3, "registry.toml:4"),
        "head.dropout": Placed(0.5, "registry.toml:6"),
    }


def test_a_whole_number_for_a_float_setting_becomes_one() -> None:
    value = loaded("[defaults]\nclip = 1\n").defaults["clip"].value
    assert isinstance(value, float)


def test_later_layers_win_value_by_value() -> None:
    merged = loaded(
        "[defaults]\nseed = 2\n[entries.mine]\nepochs = 2\n",
        user="[defaults]\nseed = 1\nclip = 0.5\n"
        '[entries.mine]\nspec = "a+b+c"\nlr = 0.1\nepochs = 1\n',
        extra="[defaults]\nmetric = 'macro_f1'\n",
    )
    assert {key: placed.value for key, placed in merged.defaults.items()} == {
        "seed": 2,
        "clip": 0.5,
        "metric": "macro_f1",
    }
    assert merged.defaults["metric"].origin == "extra.toml:3"
    assert merged.defaults["clip"].origin == f"{folders.config()}/registry.toml:4"
    mine = merged.entry("mine")
    assert {key: placed.value for key, placed in mine.settings.items()} == {"lr": 0.1, "epochs": 2}


def test_an_entry_that_names_its_spec_starts_anew() -> None:
    assert loaded('[entries.demo]\nspec = "a+b+c"\n').entry("demo").settings == {}


def test_what_is_written_nearer_wins_whether_in_a_spec_or_apart() -> None:
    merged = loaded(
        '[entries.a]\nspec = "resnet18+linear:dropout=0.3+ce"\n'
        '[entries.b]\nextends = "a"\nhead.dropout = 0.1\nloss.label_smoothing = 0.2\n'
        '[entries.c]\nextends = "b"\nspec = "resnet18+linear:dropout=0.4+ce"\n'
        '[entries.d]\nspec = "resnet18+linear:dropout=0.5+ce"\n',
        extra="[entries.d]\nhead.dropout = 0.6\n",
    )
    b, c, d = (resolve(name, {}, catalog=catalog(), book=merged) for name in "bcd")
    assert b.head.options["dropout"] == 0.1
    assert b.origins["head.dropout"] == "registry.toml:6"
    assert c.head.options["dropout"] == 0.4
    assert "head.dropout" not in c.origins
    assert c.loss.options["label_smoothing"] == 0.2
    assert d.head.options["dropout"] == 0.6
    assert d.origins["head.dropout"] == "extra.toml:3"


def test_extends_brings_spec_and_settings_but_not_the_summary() -> None:
    merged = loaded(
        '[entries.a]\nspec = "a+b+c"\nsummary = "A."\nlr = 0.1\nepochs = 1\n'
        '[entries.b]\nextends = "a"\nepochs = 2\n'
        '[entries.c]\nextends = "b"\nspec = "x+y+z"\n'
    )
    b, c = merged.entry("b"), merged.entry("c")
    assert (b.spec, b.summary) == ("a+b+c", "")
    assert b.settings == {
        "lr": Placed(0.1, "registry.toml:5"),
        "epochs": Placed(2, "registry.toml:9"),
    }
    assert (c.spec, c.settings) == ("x+y+z", b.settings)


def test_every_problem_is_named_at_once_with_file_line_and_near_name() -> None:
    message = complaint(
        "[defaults]\nepoch = 3\nseed = -1\nhead.dropout = 0.1\n"
        '[entries.Bad]\nspec = "a+b+c"\n'
        '[entries.b]\nspec = "a+b"\n'
        '[entries.c]\nextends = "strang"\n'
        "[entries.d]\nlr = 1\n"
        "[entries.e]\nspec = 5\nsumary = 'x'\nloss.x = [1]\n"
        "[entires]\n"
    )
    for line in (
        "registry.toml:3: epoch is not known (did you mean 'epochs'?)",
        "registry.toml:4: seed wants a whole number from 0 to 4294967295, not -1",
        "registry.toml:5: head.dropout belongs into an entry",
        "registry.toml:6: an entry's name is",
        "registry.toml:9: spec does not parse",
        "registry.toml:11: extends 'strang' is no entry (did you mean 'strong'?)",
        "registry.toml:15: spec wants text, not 5",
        "registry.toml:16: sumary is not known (did you mean 'summary'?)",
        "registry.toml:17: loss.x is no option of a loss",
        "registry.toml:18: entires is not known (did you mean 'entries'?)",
    ):
        assert line in message


def test_an_entry_that_says_nothing_is_told_with_its_own_file_and_line() -> None:
    Path("o.toml").write_text(HEAD + "[defaults]\nseed = 1\n[entries.x]\n")
    with pytest.raises(UsageError, match=r"^o\.toml:4: entry x has neither spec nor extends"):
        registry.load(Path("o.toml"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[entries.fats]\nlr = 1\n", "fats has neither spec nor extends (did you mean 'fast'?)"),
        ("[entries]\na = 1\n", "a wants a table"),
        ("defaults = 1\n", "registry.toml:2: defaults wants a table"),
        ("[defaults]\nprobe.epochs.x = 1\n", "probe.epochs.x is not known"),
        ("[defaults]\na.b.c.d.e.f = 1\n", "a.b.c is not known"),
        ("[defaults]\nlr = nan\n", "lr wants a number from 0 to 100, not nan"),
        ("[defaults]\nlr = 2020-01-01\n", "lr wants a number"),
        ("[defaults]\nlr = [[1]]\n", "not a list"),
        ("[defaults]\nlr = '0.1'\n", "lr wants a number from 0 to 100, not text in quotes"),
        ("[defaults]\nchannels_last = true\n", "wants one of auto, on, off, not true"),
        ('[entries.a]\nspec = "A+b+c"\n', "^ column 1: names are lower case"),
        (
            "".join(f'[entries.e{n}]\nextends = "e{n + 1}"\n' for n in range(20))
            + '[entries.e20]\nspec = "a+b+c"\n',
            "goes through more than 16 entries",
        ),
    ],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    assert words in complaint(text)


def test_a_spec_that_does_not_parse_is_one_problem_however_many_extend_it() -> None:
    message = complaint('[entries.a]\nspec = "a+b"\n[entries.b]\nextends = "a"\n')
    assert "problems" not in message


@pytest.mark.parametrize("text", ["", "schema = 2\n", "schema = true\n", "schema = '1'\n"])
def test_another_schema_is_refused(text: str) -> None:
    Path("registry.toml").write_text(text)
    with pytest.raises(UsageError, match="must say schema = 1"):
        registry.load()


def test_a_syntax_error_names_file_and_line() -> None:
    assert complaint("[defaults\n").startswith("registry.toml:2: ")


def test_a_named_registry_must_be_there() -> None:
    with pytest.raises(InputMissing):
        registry.load(Path("none.toml"))


def test_a_checkouts_own_file_is_not_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(registry.built_in().parent)
    assert registry.load().entry("demo").origin == "built in"


def test_a_miss_names_near_entries() -> None:
    with pytest.raises(UnknownName) as caught:
        registry.load().entry("ofline")
    assert caught.value.suggestions[0] == "offline"
    assert "offline" in caught.value.hint


def test_the_shipped_json_schema_is_that_of_the_settings() -> None:
    file = Path(zoo.__file__).with_name("registry.schema.json")
    assert json.loads(file.read_text()) == json_schema(), (
        "write it anew: json.dumps(zoo.registry_file.json_schema(), indent=2)"
    )


REQUIRING = """
[entries.base]
spec = "lite0+linear+ce"
requires_plugins = ["zoo-heads>=0.1", "zoo-no-such-plugin>=2"]
[entries.mine]
extends = "base"
requires_plugins = ["zoo-heads>=99,<100"]
[entries.met]
spec = "lite0+linear+ce"
requires_plugins = ["zoo-heads", "zoo-losses<1000"]
"""


def test_an_entry_requires_plugins_and_what_it_extends_does_too() -> None:
    book = loaded(REQUIRING)
    base = ("zoo-heads>=0.1", "zoo-no-such-plugin>=2")
    assert book.entry("base").requires == base
    assert book.entry("mine").requires == (*base, "zoo-heads>=99,<100")
    assert "requires_plugins" not in book.entry("mine").settings


def test_a_plugin_that_is_missing_or_too_old_gives_the_line_that_installs_it() -> None:
    book = loaded(REQUIRING)
    with pytest.raises(Unavailable) as caught:
        resolve("mine", {}, catalog=catalog(), book=book)
    assert caught.value.exit_code == 69
    assert caught.value.message == (
        "The entry mine requires zoo-no-such-plugin>=2, and zoo-no-such-plugin is not installed; "
        "it requires zoo-heads<100,>=99, and zoo-heads is 0.1.0."
    )
    assert caught.value.hint == "uv pip install 'zoo-no-such-plugin>=2' 'zoo-heads<100,>=99'"
    assert resolve("met", {}, catalog=catalog(), book=book).head.full_name == "heads/linear"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ('"zoo-timm"', 'registry.toml:4: requires_plugins wants a list such as ["zoo-timm>=0.3"]'),
        ("[1]", "requires_plugins wants a list"),
        ('["zoo-timm > = 3"]', "registry.toml:4: requires_plugins: 'zoo-timm > = 3' is not a req"),
    ],
)
def test_what_is_no_list_of_requirements_is_named_with_its_line(value: str, words: str) -> None:
    assert words in complaint(f'[entries.mine]\nspec = "a+b+c"\nrequires_plugins = {value}\n')
    assert "requires_plugins" in complaint(f"[defaults]\nrequires_plugins = {value}\n")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    Path("registry.toml").write_text(HEAD + text, encoding="utf-8", errors="replace")
    try:
        registry.load()
    except UsageError as error:
        assert "registry.toml" in error.message  # noqa: PT017 - either outcome is right


def test_a_user_file_that_cannot_be_looked_at_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", denied)
    with pytest.raises(StorageFault, match=r"registry\.toml cannot be read: Permission denied"):
        registry.load(None)
