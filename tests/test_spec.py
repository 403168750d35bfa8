"""The grammar of specs: text to data and back, and where a wrong one goes wrong."""

from __future__ import annotations

import importlib
import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import SpecError
from zoo.spec import EXAMPLE, MAX_LENGTH, NAMESPACE, Part, Spec, parse, parse_part, slug

names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
options = st.dictionaries(names, st.from_regex(r"[A-Za-z0-9_.%-]{1,8}", fullmatch=True), max_size=3)
parts = st.builds(
    Part,
    names,
    namespace=st.just("") | st.from_regex(NAMESPACE, fullmatch=True),
    tag=st.just("") | st.from_regex(r"[A-Za-z0-9_]{1,8}", fullmatch=True),
    options=options.map(lambda found: tuple(found.items())),
)
specs = st.builds(Spec, parts, parts, parts)


def column(error: SpecError, text: str) -> int:
    """The column that the message names, after checking that the caret stands there too."""
    match = re.search(rf"\n{re.escape(text)}\n( *)\^ column (\d+): ", error.message)
    assert match is not None, error.message
    assert len(match[1]) + 1 == int(match[2])
    return int(match[2])


def test_a_spec_is_a_backbone_a_head_and_a_loss() -> None:
    spec = parse("timm/resnet18.a1_in1k+linear:dropout=0.1+cekl:target=view,kl_weight=0.5")
    assert spec.backbone == Part("resnet18", namespace="timm", tag="a1_in1k")
    assert spec.head == Part("linear", options=(("dropout", "0.1"),))
    assert spec.loss == Part("cekl", options=(("target", "view"), ("kl_weight", "0.5")))
    assert spec.parts == (spec.backbone, spec.head, spec.loss)


@given(specs)
def test_text_is_the_inverse_of_parsing(spec: Spec) -> None:
    assert parse(str(spec)) == spec


@given(parts)
def test_a_parts_text_is_the_inverse_of_parsing_it(part: Part) -> None:
    assert parse_part(str(part)) == part


@given(specs)
def test_no_shell_reads_anything_into_a_spec(spec: Spec) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.%:=,/+-]+", str(spec))


@given(specs, st.data(), st.sampled_from(" \t\n$'\"*~é(){}[]!#&;|<>@^\x1b\u202e"))
def test_a_character_that_is_not_of_the_grammar_is_refused(
    spec: Spec, data: st.DataObject, character: str
) -> None:
    text = str(spec)
    place = data.draw(st.integers(0, len(text)))
    with pytest.raises(SpecError):
        parse(text[:place] + character + text[place:])


@given(st.text(alphabet="abz019A_.%-:=,/+ é\n", max_size=40))
def test_any_text_is_a_spec_or_an_error_of_the_tree(text: str) -> None:
    with suppress(SpecError):
        assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        ("", 1, "missing"),
        ("+linear+ce", 1, "missing"),
        ("resnet18++ce", 10, "missing"),
        ("resnet18+linear+", 17, "missing"),
        ("resnet18+li$near+ce", 12, "cannot go on"),
        ("resnet18 +linear+ce", 9, "cannot go on"),
        ("timm/+linear+ce", 5, "cannot go on"),
        ("resnet18.+linear+ce", 9, "cannot go on"),
        ("resnet18.a.b+linear+ce", 11, "cannot go on"),
        ("ResNet18+linear+ce", 1, "lower case"),
        ("efficientnet-b0+linear+ce", 13, "with _ instead of -"),
        ("resnet18+linear:+ce", 16, "cannot go on"),
        ("resnet18+linear:dropout+ce", 17, "'dropout' is not key=value"),
        ("resnet18+linear:dropout=+ce", 17, "'dropout=' is not key=value"),
        ("resnet18+linear+ce:a=1,b", 24, "'b' is not key=value"),
        ("resnet18+linear+ce:a=1,", 24, "'' is not key=value"),
        ("resnet18+linear+ce:a=1,a=2", 24, "stands twice"),
    ],
)
def test_the_error_points_at_the_column(text: str, expected: int, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)) as caught:
        parse(text)
    assert column(caught.value, text) == expected
    assert EXAMPLE in caught.value.hint


@pytest.mark.parametrize("text", ["resnet18", "resnet18+linear"])
def test_too_few_parts_are_counted(text: str) -> None:
    with pytest.raises(SpecError, match="of the three parts backbone") as caught:
        parse(text)
    assert EXAMPLE in caught.value.hint


def test_a_second_loss_is_not_there_yet() -> None:
    with pytest.raises(SpecError, match="4 parts; more than one loss"):
        parse("resnet18+contrastive+ce+ntxent")


def test_an_endless_spec_is_refused_before_it_is_read() -> None:
    with pytest.raises(SpecError, match="too long") as caught:
        parse("a" * (MAX_LENGTH + 1))
    assert "--set" in caught.value.hint
    with pytest.raises(SpecError, match="too long"):
        parse_part("a" * (MAX_LENGTH + 1))


@pytest.mark.parametrize("plugin", ["timm", "torchvision"])
def test_every_name_and_tag_of_the_libraries_fits_the_grammar(plugin: str) -> None:
    components = list(importlib.import_module(f"zoo_{plugin}").zoo_backbones())
    assert len(components) > 50
    for component in components:
        for tag in ("", *(weights.tag for weights in component.weights)):
            part = Part(component.name, namespace=plugin, tag=tag)
            assert parse_part(str(part)) == part


@given(st.text(max_size=200))
def test_a_slug_is_a_short_and_harmless_file_name(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", slug(text))


def test_a_slug_keeps_a_spec_readable() -> None:
    assert slug("timm/resnet18.a1_in1k+linear+cekl") == "timm-resnet18.a1_in1k-linear-cekl"
