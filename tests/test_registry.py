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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds a package, importing which would fail."""
    folder = tmp_path / "site" / "acme_zoo"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(folder.parent)
    return folder


def test_a_plugins_entries_stand_under_its_namespace(package: Path) -> None:
    (package / "acme.toml").write_text(
        HEAD + '[entries.a]\nspec = "a+b+c"\n[entries.b]\nextends = "a"\n'
        '[entries.c]\nextends = "demo"\n'
    )
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml")])
    assert merged.entry("acme/b").spec == "a+b+c"
    assert merged.entry("acme/c").spec == merged.entry("demo").spec
    assert merged.entry("acme/a").origin == "acme_zoo:acme.toml:3"


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "schema = 2\n",
        HEAD + "[defaults]\nseed = 1\n",
        HEAD + '[entries.a]\nextends = "b"\n',
        HEAD + "[entries.demo]\nlr = 1\n",
    ],
)
def test_a_plugins_faulty_file_costs_only_itself(package: Path, text: str) -> None:
    (package / "acme.toml").write_text(text)
    (package / "good.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml"), ("good", "acme_zoo:good.toml")])
    assert "good/a" in merged.entries
    assert len(merged.problems) == 1
    assert "acme" in merged.problems[0]


def test_a_plugins_missing_file_costs_only_itself() -> None:
    merged = registry.load(shipped=[("acme", "no_such_package:x.toml"), ("b", "zoo:x.toml")])
    assert len(merged.problems) == 2
    assert "demo" in merged.entries


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


def left_out(merged: Registry, name: str) -> str:
    with pytest.raises(UnknownName, match="left out") as caught:
        merged.entry(name)
    return caught.value.message


def test_a_plugins_entry_says_whose_it_is(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\nsummary = "A."\n')
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nextends = "acme/a"\nlr = 0.5\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml", "zoo-acme", "1.2")])
    ours, mine = merged.entry("acme/a"), merged.entry("mine")
    assert (ours.owner, ours.plugin, ours.version) == ("zoo-acme 1.2", "zoo-acme", "1.2")
    assert (mine.owner, mine.spec, mine.settings["lr"].value) == ("", "a+b+c", 0.5)
    assert merged.entry("demo").owner == ""


@pytest.mark.parametrize("theirs", ["demo", "mine", "other/a", "acme/demo"])
def test_a_plugin_changes_no_entry_but_its_own(package: Path, theirs: str) -> None:
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nspec = "m+b+c"\n')
    (package / "other.toml").write_text(HEAD + '[entries.a]\nspec = "o+b+c"\n')
    (package / "acme.toml").write_text(HEAD + f'[entries."{theirs}"]\nspec = "x+y+z"\nlr = 9\n')
    other = ("other", "acme_zoo:other.toml")
    before = registry.load(shipped=[other]).entries
    for order in ([other, ("acme", "acme_zoo:acme.toml")], [("acme", "acme_zoo:acme.toml"), other]):
        after = registry.load(shipped=order)
        assert {name: after.entries[name] for name in before} == before
        assert after.entries.keys() - before.keys() <= {f"acme/{theirs}"}


@pytest.mark.parametrize("base", ["mine", "other/a", "acme/nothing"])
def test_a_plugin_extends_its_own_and_built_in_entries_only(package: Path, base: str) -> None:
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nspec = "m+b+c"\n')
    (package / "other.toml").write_text(HEAD + '[entries.a]\nspec = "o+b+c"\n')
    (package / "acme.toml").write_text(HEAD + f'[entries.x]\nextends = "{base}"\n')
    merged = registry.load(
        shipped=[("other", "acme_zoo:other.toml"), ("acme", "acme_zoo:acme.toml")]
    )
    assert f"acme_zoo:acme.toml:3: extends {base!r} is no entry" in left_out(merged, "acme/x")
    assert {"mine", "other/a", "demo"} <= merged.entries.keys()


def test_no_file_of_the_users_changes_what_a_plugins_entry_means(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + '[entries.x]\nextends = "demo"\nlr = 0.5\n')
    shipped = [("acme", "acme_zoo:acme.toml")]
    before = registry.load(shipped=shipped).entry("acme/x")
    for text in (
        "[entries.demo]\nepochs = 99\n",
        '[entries.demo]\nspec = "x+y+z"\n',
        '[entries.demo]\nextends = "acme/x"\n',  # else a circle
    ):
        Path("registry.toml").write_text(HEAD + text)
        assert registry.load(shipped=shipped).entry("acme/x") == before


def test_a_plugins_files_extend_each_other_in_their_order(package: Path) -> None:
    (package / "one.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\nlr = 0.5\n')
    (package / "two.toml").write_text(HEAD + '[entries.b]\nextends = "a"\nepochs = 2\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:one.toml"), ("acme", "acme_zoo:two.toml")])
    assert {key: one.value for key, one in merged.entry("acme/b").settings.items()} == {
        "lr": 0.5,
        "epochs": 2,
    }
    assert merged.problems == ()


def test_the_same_entry_twice_costs_the_later_file(package: Path) -> None:
    (package / "one.toml").write_text(HEAD + '[entries.a]\nspec = "a+b+c"\n')
    (package / "two.toml").write_text(HEAD + '[entries.a]\nspec = "x+y+z"\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:one.toml"), ("acme", "acme_zoo:two.toml")])
    assert merged.entry("acme/a").spec == "a+b+c"
    assert "another file of the plugin has the entry acme/a as well" in merged.problems[0]


def test_requirements_go_along_with_what_is_extended(package: Path) -> None:
    (package / "acme.toml").write_text(
        HEAD + '[entries.a]\nspec = "a+b+c"\nrequires_plugins = ["zoo-x>=1", "zoo-y"]\n'
        '[entries.b]\nextends = "a"\n'
    )
    Path("registry.toml").write_text(HEAD + '[entries.mine]\nextends = "acme/b"\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml")])
    assert merged.entry("mine").requires == ("zoo-x>=1", "zoo-y")


def test_an_entry_of_a_file_that_is_left_out_is_missed_with_the_files_fault(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + '[entries.x]\nspec = "a+b+c"\nlrr = 1\n')
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml")])
    assert "acme_zoo:acme.toml:4: lrr is not known" in left_out(merged, "acme/x")


@pytest.mark.parametrize("fault", ["the file is faulty", "the plugin is gone"])
def test_what_extends_a_plugins_entry_that_is_not_there_is_left_out_alone(
    package: Path, fault: str
) -> None:
    (package / "acme.toml").write_text("no toml")
    Path("registry.toml").write_text(
        HEAD + '[entries.mine]\nextends = "acme/x"\n[entries.far]\nextends = "mine"\n'
        '[entries.fine]\nspec = "a+b+c"\n'
    )
    shipped = [("acme", "acme_zoo:acme.toml")] if fault == "the file is faulty" else []
    merged = registry.load(shipped=shipped)
    assert "registry.toml:3: extends 'acme/x' is no entry" in left_out(merged, "mine")
    assert "registry.toml:3" in left_out(merged, "far")
    assert {"fine", "demo"} <= merged.entries.keys()
    assert any("extends 'acme/x'" in one for one in merged.problems)


CIRCLE = (
    '[entries.a]\nextends = "b"\n[entries.b]\nextends = "c"\n[entries.c]\nextends = "a"\n'
    '[entries.into]\nextends = "b"\n'
    '[entries.self]\nextends = "self"\n'
    '[entries.fine]\nspec = "a+b+c"\nlr = 0.5\n'
)


def test_a_circle_of_the_users_costs_its_entries_alone_and_is_named() -> None:
    merged = loaded(CIRCLE)
    assert merged.entry("fine").settings["lr"].value == 0.5
    assert {"demo", "fine"} <= merged.entries.keys()
    for name in ("a", "b", "c", "into"):
        told = left_out(merged, name)
        assert "registry.toml:3: extends goes in a circle: a > b > c > a" in told
    assert "registry.toml:11: extends goes in a circle: self > self" in left_out(merged, "self")
    assert len(merged.problems) == 2


def test_a_circle_of_a_plugins_costs_its_entries_alone_and_is_named(package: Path) -> None:
    (package / "acme.toml").write_text(HEAD + CIRCLE)
    Path("registry.toml").write_text(
        HEAD + '[entries.mine]\nextends = "acme/a"\n[entries.ours]\nextends = "acme/fine"\n'
    )
    merged = registry.load(shipped=[("acme", "acme_zoo:acme.toml", "zoo-acme", "1.2")])
    assert merged.entry("acme/fine").owner == "zoo-acme 1.2"
    assert merged.entry("ours").spec == "a+b+c"
    circle = "acme_zoo:acme.toml:3: extends goes in a circle: acme/a > acme/b > acme/c > acme/a"
    for name in ("acme/a", "acme/b", "acme/c", "acme/into"):
        assert circle in left_out(merged, name)
    assert "extends 'acme/a' is no entry" in left_out(merged, "mine")
    assert circle in merged.problems


def test_a_circle_through_a_built_in_entry_is_one_too() -> None:
    merged = loaded('[entries.demo]\nextends = "x"\n[entries.x]\nextends = "demo"\n')
    assert "goes in a circle: demo > x > demo" in left_out(merged, "demo")
    assert "offline" in merged.entries
