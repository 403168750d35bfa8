import pytest

from zoo import ports
from zoo.components import ByOption, Component, Option
from zoo.errors import SpecError

BACKBONE = Component(name="net", target="m:net", provides=("features",))
LINEAR = Component(
    name="linear", target="m:h", needs=("features",), provides=("logits", "view_logits")
)
PAIRS = Component(
    name="pairs",
    target="m:h",
    needs=("features",),
    provides=("logits", "view_logits", "embeddings"),
    views=2,
)
PLAIN = Component(name="plain", target="m:h", needs=("features",), provides=("logits",))
DENSE = Component(name="dense", target="m:h", needs=("feature_map",), provides=("logits",))
CE = Component(name="ce", target="m:l", needs=("logits",))
CEKL = Component(
    name="cekl",
    target="m:l",
    options={"target": Option(type="str", default="smooth", choices=("smooth", "view", "teacher"))},
    needs=ByOption(
        "target",
        {"teacher": ("logits", "view_logits", "teacher_logits")},
        ("logits", "view_logits"),
    ),
    views=ByOption("target", {"view": 2}, 1),
)
SUPCON = Component(name="supcon", target="m:l", needs=("embeddings",), views=2)
VIEWS_ONLY = Component(name="views_only", target="m:l", needs=("view_logits",))
HEADS = {"linear": LINEAR, "pairs": PAIRS, "plain": PLAIN, "dense": DENSE}
LOSSES = {"ce": CE, "cekl": CEKL, "supcon": SUPCON}


def check(head: Component, loss: Component, loss_options: dict[str, str] | None = None) -> None:
    ports.check(
        (BACKBONE, head, loss),
        ({}, ports.defaults(head), {**ports.defaults(loss), **(loss_options or {})}),
        heads=HEADS,
        losses=LOSSES,
    )


def test_views_are_the_larger_wish() -> None:
    assert ports.views(LINEAR, CE, {}, {}) == 1
    assert ports.views(PAIRS, CE, {}, {}) == 2
    assert ports.views(LINEAR, CEKL, {}, {"target": "view"}) == 2
    assert ports.views(LINEAR, CEKL, {}, {"target": "smooth"}) == 1


@pytest.mark.parametrize(
    ("head", "loss"), [(LINEAR, CE), (LINEAR, CEKL), (PAIRS, CE), (PAIRS, CEKL), (PLAIN, CE)]
)
def test_a_trio_that_fits_passes(head: Component, loss: Component) -> None:
    check(head, loss)


def test_a_head_without_what_the_loss_needs_is_refused_with_what_would_fit() -> None:
    with pytest.raises(SpecError) as caught:
        check(PLAIN, CEKL)
    assert "cekl:target=smooth needs view_logits" in caught.value.message
    assert "head plain provides logits" in caught.value.message
    assert caught.value.hint == "Heads that fit cekl: linear, pairs. Losses that fit plain: ce."


def test_a_head_that_needs_what_the_backbone_lacks_is_refused_with_the_heads_that_fit() -> None:
    with pytest.raises(SpecError) as caught:
        check(DENSE, CE)
    assert "dense needs feature_map, and the backbone net provides features" in caught.value.message
    assert caught.value.hint == "Heads that fit ce: linear, pairs, plain."


def test_a_loss_that_never_reaches_the_prediction_is_refused() -> None:
    with pytest.raises(SpecError, match="never be trained") as caught:
        check(PAIRS, SUPCON)
    assert caught.value.hint == "Losses that fit pairs: ce, cekl."


def test_a_loss_on_view_logits_alone_is_left_to_the_built_model() -> None:
    check(LINEAR, VIEWS_ONLY)


def test_what_the_engine_computes_counts_as_there() -> None:
    check(LINEAR, CEKL, {"target": "teacher"})
    assert ports.extras(CEKL, {"target": "teacher"}) == ("teacher_logits",)
    assert ports.extras(CEKL, {"target": "smooth"}) == ()


def test_without_alternatives_the_way_to_look_for_some_is_named() -> None:
    with pytest.raises(SpecError) as caught:
        ports.check((BACKBONE, PLAIN, SUPCON), ({}, {}, {}))
    assert "zoo list" in caught.value.hint
