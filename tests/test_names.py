from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.components import KINDS, Component, Kind, Weights
from zoo.config import file as config_file
from zoo.errors import UnknownName, UsageError
from zoo.index import Catalog, Listed
from zoo.names import preferences, resolve, set_preferences
from zoo.owners import FIRST_PARTY, OWNERS, TORCHVISION
from zoo.plugins.loader import Problem
from zoo.spec import Part, parse_part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


TAGS = (Weights(tag="V1", default=True), Weights(tag="V2"))


def listed(full_name: str, kind: Kind = "backbone", **parts: Any) -> Listed:  # noqa: ANN401 - any field of a component
    namespace, _, name = full_name.partition("/")
    plugin = f"zoo-{namespace}" if namespace in FIRST_PARTY else namespace
    component = Component(name=name, target="x:y", **parts)
    return Listed(kind, namespace, plugin, "1.0", component)


def backbone(full_name: str) -> Listed:
    return listed(full_name, weights=TAGS)


CATALOG = Catalog(
    (
        backbone("torchvision/resnet18"),
        backbone("torchvision/else"),
        backbone("timm/resnet18"),
        backbone("timm/vit_base_patch16_224"),
        backbone("timm/shared"),
        listed("timm/renamed", aliases=("former",)),
        backbone("efficientnet-lite/shared"),
        backbone("acme/resnet18"),
        backbone("acme/tinynet"),
        listed("heads/linear", "head"),
        listed("losses/cekl", "loss"),
    ),
    problems=(Problem("zoo-acme-two", "0.3", "ImportError: No module named 'foo'"),),
)
WITHOUT_TORCHVISION = Catalog(CATALOG.listed[2:])


def meaning(
    text: str, kind: Kind = "backbone", prefer: Sequence[str] = (), catalog: Catalog = CATALOG
) -> str:
    return resolve(catalog, kind, parse_part(text), prefer).listed.full_name


def miss(
    text: str, kind: Kind = "backbone", prefer: Sequence[str] = (), catalog: Catalog = CATALOG
) -> UnknownName:
    with pytest.raises(UnknownName) as caught:
        resolve(catalog, kind, parse_part(text), prefer)
    assert caught.value.exit_code == 69
    return caught.value


@pytest.mark.parametrize(
    ("text", "prefer", "expected"),
    [
        ("resnet18", (), "torchvision/resnet18"),
        ("timm/resnet18", (), "timm/resnet18"),
        ("acme/tinynet", (), "acme/tinynet"),
        ("resnet18", ("timm/resnet18",), "timm/resnet18"),
        ("resnet18", ("acme/resnet18", "timm/resnet18"), "acme/resnet18"),
        ("torchvision/resnet18", ("timm/resnet18",), "torchvision/resnet18"),
        ("tinynet", ("acme/tinynet",), "acme/tinynet"),
        ("vit_base_patch16_224", (), "timm/vit_base_patch16_224"),
        ("former", (), "timm/renamed"),
        ("shared", (), "timm/shared"),
        ("shared", ("efficientnet-lite/shared",), "efficientnet-lite/shared"),
        ("resnet18.V2", (), "torchvision/resnet18"),
    ],
)
def test_what_a_name_means(text: str, prefer: Sequence[str], expected: str) -> None:
    assert meaning(text, prefer=prefer) == expected


def test_each_loser_has_its_reason() -> None:
    found = resolve(CATALOG, "backbone", Part("resnet18"))
    assert found.rule == "torchvision owns the name, always"
    assert {one.full_name: reason for one, reason in found.losers} == {
        "timm/resnet18": "torchvision owns the name, always",
        "acme/resnet18": "a third party's component is written with its namespace",
    }


def test_a_missing_owner_is_an_error_and_never_another_component() -> None:
    error = miss("resnet18", catalog=WITHOUT_TORCHVISION)
    assert "resnet18 is torchvision/resnet18" in error.message
    assert "zoo-torchvision is not installed" in error.message
    assert error.hint == "uv pip install zoo-torchvision, or type timm/resnet18"


@pytest.mark.parametrize(
    ("text", "kind", "message", "hint"),
    [
        ("cekl", "backbone", "cekl is not a backbone but a loss, the third part", "zoo list"),
        ("heads/linear", "loss", "is not a loss but a head, the second part", ""),
        ("linear", "loss", "linear is not a loss but a head", "zoo list --kind loss"),
        ("tinynet", "backbone", "tinynet is acme/tinynet (acme 1.0)", "zoo prefer acme/tinynet"),
        ("else", "backbone", "else is torchvision/else (zoo-torch", "zoo prefer torchvision/else"),
        ("vit_b16", "backbone", "There is no backbone 'vit_b16'", "timm/vit_base_patch16_224"),
        ("timm/vit_b16", "backbone", "zoo-timm 1.0 has no backbone", "timm/vit_base_patch16_224"),
        ("timm/tinynet", "backbone", "zoo-timm 1.0 has no backbone", "Try acme/tinynet."),
        ("lite0", "backbone", "zoo-efficientnet-lite 1.0 has no backbone", ""),
        ("ce", "loss", "ce is losses/ce, and zoo-losses 1.0 has no loss 'ce'", "losses/cekl"),
        ("contrastiv", "head", "There is no head", "zoo list"),
        ("nobody/resnet18", "backbone", "No installed plugin has the namespace", "Try torchvision"),
        ("acm/nothing", "backbone", "No installed plugin has the namespace 'acm'", "acme/nothing"),
        ("acme-two/net", "backbone", "zoo-acme-two 0.3 is quarantined: ImportError", "--upgrade"),
        ("resnet18.V3", "backbone", "has no weights tag 'V3'", "torchvision/resnet18.V1"),
        ("linear.V1", "head", "has no weights tag 'V1'", "no pretrained weights"),
    ],
)
def test_a_miss_says_why_and_what_to_type(text: str, kind: Kind, message: str, hint: str) -> None:
    error = miss(text, kind)
    assert message in error.message
    assert hint in error.hint


def test_a_preference_for_what_is_gone_is_an_error() -> None:
    error = miss("resnet18", prefer=("gone/resnet18",))
    assert "You prefer gone/resnet18" in error.message
    assert "zoo prefer --remove gone/resnet18" in error.hint


def test_a_preference_of_another_kind_is_none() -> None:
    assert meaning("linear", "head", prefer=("acme/linear_x", "losses/cekl")) == "heads/linear"
    both = Catalog((*CATALOG.listed, listed("acme/linear", "loss")))
    assert meaning("linear", "head", prefer=("acme/linear",), catalog=both) == "heads/linear"


def test_the_nearest_tag_comes_first() -> None:
    tags = tuple(Weights(tag=tag, default=tag == "b_in1k") for tag in ("b_in1k", "a1_in1k"))
    catalog = Catalog((listed("timm/net", weights=tags),))
    assert miss("net.a1_in1", catalog=catalog).suggestions[0] == "timm/net.a1_in1k"


def test_the_table_of_owners_names_only_first_party_namespaces() -> None:
    assert len(TORCHVISION) == len(set(TORCHVISION)) == 80
    assert {owner for names in OWNERS.values() for owner in names.values()} <= set(FIRST_PARTY)


# --- a plugin that is added never makes a spec mean another component ---

NAMES = ("resnet18", "alexnet", "linear", "tinynet", "other")
NAMESPACES = (*FIRST_PARTY, "acme", "bolt", "resnet18")


def plugin(namespace: str, held: set[tuple[Kind, str]]) -> tuple[Listed, ...]:
    return tuple(listed(f"{namespace}/{name}", kind) for kind, name in held)


plugins = st.builds(
    plugin,
    st.sampled_from(NAMESPACES),
    st.sets(st.tuples(st.sampled_from(KINDS), st.sampled_from(NAMES)), min_size=1),
)
plugin_sets = st.lists(plugins, min_size=1, max_size=7, unique_by=lambda held: held[0].namespace)
full_names = st.builds("{}/{}".format, st.sampled_from(NAMESPACES), st.sampled_from(NAMES))


def outcome(catalog: Catalog, kind: Kind, part: Part, prefer: Sequence[str]) -> str | UnknownName:
    try:
        return resolve(catalog, kind, part, prefer).listed.full_name
    except UnknownName as error:
        return error


@settings(max_examples=300, deadline=None)
@given(
    plugin_sets,
    st.sampled_from(KINDS),
    st.sampled_from(NAMES),
    st.sampled_from(("", "", "timm", "acme")),
    st.lists(full_names, max_size=3),
)
def test_an_added_plugin_never_changes_a_meaning(
    installed: list[tuple[Listed, ...]],
    kind: Kind,
    name: str,
    namespace: str,
    prefer: Sequence[str],
) -> None:
    *old, _ = installed
    part = Part(name, namespace)
    before = outcome(Catalog(sum(old, ())), kind, part, prefer)
    after = outcome(Catalog(sum(installed, ())), kind, part, prefer)
    if isinstance(before, str):
        assert before == after


@given(
    st.permutations(range(len(CATALOG.listed))), st.sampled_from(["resnet18", "shared", "former"])
)
def test_the_order_of_plugins_never_matters(order: list[int], name: str) -> None:
    shuffled = Catalog(tuple(CATALOG.listed[place] for place in order))
    first, second = (outcome(one, "backbone", Part(name), ()) for one in (CATALOG, shuffled))
    assert first == second


# --- the user's preferences ---


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    return config_file


@pytest.mark.usefixtures("config")
def test_preferences_are_written_and_read_back() -> None:
    assert preferences() == ()
    set_preferences(["timm/resnet18", "acme/net"])
    assert preferences() == ("timm/resnet18", "acme/net")
    set_preferences([])
    assert preferences() == ()


def test_the_rest_of_the_file_stays_as_it_was_written(config: Callable[[], Path]) -> None:
    config().parent.mkdir()
    rest = '# mine\ncolour = "blue"  # really\n\n[table]\nprefer = ["inside"]\n'
    config().write_text(f'prefer = [\n  "timm/a",\n  "timm/b",\n]\n{rest}')
    set_preferences(["timm/c"])
    assert config().read_text() == f'prefer = ["timm/c"]\n{rest}'


def test_a_file_that_cannot_be_edited_safely_is_left_alone(config: Callable[[], Path]) -> None:
    config().parent.mkdir()
    text = 'note = """\nprefer = ["x"]\n"""\nprefer = ["timm/a"]\n'
    config().write_text(text)
    with pytest.raises(UsageError, match="cannot be edited"):
        set_preferences(["timm/b"])
    assert config().read_text() == text


@pytest.mark.parametrize("text", ["prefer = 5", 'prefer = "timm/a"', 'prefer = ["a"]', "prefer ="])
def test_a_wrong_file_is_named_with_the_line(config: Callable[[], Path], text: str) -> None:
    config().parent.mkdir()
    config().write_text(f"\n{text}\n")
    with pytest.raises(UsageError, match=r"config\.toml:2"):
        preferences()
