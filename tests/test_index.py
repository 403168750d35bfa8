from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from zoo.components import Component, Kind
from zoo.errors import PluginFault, Unavailable
from zoo.index import Catalog, Listed, assemble, catalog, load_target
from zoo.plugins.distributions import Source
from zoo.plugins.loader import Offer, Problem

if TYPE_CHECKING:
    from pathlib import Path


def listed(target: str = "json:dumps", **parts: Any) -> Listed:  # noqa: ANN401 - any field of a component
    return Listed("head", "acme", "acme", "1.0", Component(name="net", target=target, **parts))


def offer(namespace: str, problem: Problem | None = None, **kinds: tuple[str, ...]) -> Offer:
    source = Source(f"zoo-{namespace}", "1.0", namespace, "module", "fingerprint")
    components = {
        cast("Kind", kind): tuple(
            Component(name=name, target="a:b", aliases=(f"{name}_old",)) for name in names
        )
        for kind, names in kinds.items()
    }
    entries = (f"zoo_{namespace}:entries.toml",)
    return Offer(source, components=components, entries=entries, problem=problem)


FOUND = assemble(
    [
        offer("b", head=("top",), backbone=("two", "one")),
        offer(
            "a", loss=("top",), problem=Problem("zoo-a", "1.0", "it is <slow>", quarantined=False)
        ),
    ]
)


def test_components_are_sorted_and_stamped_with_their_owner() -> None:
    assert [(one.kind, one.full_name, one.owner) for one in FOUND.listed] == [
        ("backbone", "b/one", "zoo-b 1.0"),
        ("backbone", "b/two", "zoo-b 1.0"),
        ("head", "b/top", "zoo-b 1.0"),
        ("loss", "a/top", "zoo-a 1.0"),
    ]


def test_a_component_is_found_by_full_name_alias_and_kind() -> None:
    assert FOUND.get("b/one") is FOUND.listed[0]
    assert FOUND.get("b/one_old", "backbone") is FOUND.listed[0]
    assert FOUND.get("b/one", "head") is None
    assert FOUND.get("one") is None
    assert [one.full_name for one in FOUND.of("backbone")] == ["b/one", "b/two"]
    assert [one.full_name for one in FOUND.named("loss", "top")] == ["a/top"]


def test_entries_keep_their_namespace_and_their_owner() -> None:
    assert FOUND.entries_resources == (
        ("b", "zoo_b:entries.toml", "zoo-b", "1.0"),
        ("a", "zoo_a:entries.toml", "zoo-a", "1.0"),
    )


def test_the_repr_tells_counts_names_and_problems() -> None:
    lines = repr(FOUND).splitlines()
    assert lines[0] == "Catalog of 2 backbones, 1 head, 1 loss"
    assert lines[1] == "  backbone b/one, b/two"
    assert lines[-1] == "  zoo-a 1.0: it is <slow> (zoo plugins shows more)"
    assert "it is &lt;slow&gt;" in FOUND._repr_html_()
    assert repr(Catalog(())).startswith("Catalog of 0 backbones")


def test_the_catalog_is_read_once_per_process() -> None:
    assert catalog() is catalog()


def test_every_first_party_plugin_is_in_the_catalog() -> None:
    found = catalog()
    assert not [problem for problem in found.problems if problem.quarantined]
    assert {one.namespace for one in found.listed} >= {
        "torchvision", "timm", "heads", "losses", "efficientnet-lite"
    }  # fmt: skip


def test_a_target_is_imported_when_it_is_asked_for() -> None:
    import json

    assert load_target(listed()) is json.dumps


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("not_a_module_at_all:build", "ModuleNotFoundError"),
        ("json:no_such_function", "AttributeError"),
        ("json:__doc__", "cannot be called"),
    ],
)
def test_a_target_that_is_missing_names_the_distribution(target: str, reason: str) -> None:
    with pytest.raises(PluginFault, match=reason) as caught:
        load_target(listed(target))
    assert "acme/net of acme 1.0" in caught.value.message


def test_a_target_that_ends_python_is_a_plugin_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zoo_test_exits.py").write_text("raise SystemExit(0)")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginFault, match="SystemExit"):
        load_target(listed("zoo_test_exits:build"))


@pytest.mark.parametrize(
    ("requirement", "state"),
    [("a-distribution-that-is-not", "not installed"), ("pluggy>=99", "pluggy is 1.")],
)
def test_a_requirement_that_is_not_met_gives_the_line_to_type(requirement: str, state: str) -> None:
    with pytest.raises(Unavailable, match=state) as caught:
        load_target(listed(requires=(requirement,)))
    assert caught.value.hint == f"uv pip install {shlex.quote(requirement)}"


def test_requirements_that_are_met_or_not_meant_for_here_pass() -> None:
    met = ("pluggy>=1", "a-distribution-that-is-not; python_version < '3'")
    assert callable(load_target(listed(requires=met)))


def test_the_catalog_is_cold_and_asks_no_plugin_once_it_is_cached() -> None:
    catalog()
    program = (
        "import sys\n"
        "from zoo.index import catalog\n"
        "assert len(catalog().listed) > 1000\n"
        "print([name for name in sys.modules if name.partition('.')[0] in "
        "('torch', 'torchvision', 'timm', 'numpy', 'rich', 'subprocess', 'zoo_timm', 'packaging')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
