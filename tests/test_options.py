import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import options
from zoo.components import Option
from zoo.errors import UsageError

BOOL = Option(type="bool", default=False)
INT = Option(type="int", default=8, minimum=1, maximum=64)
FLOAT = Option(type="float", default=0.1, minimum=0, maximum=1)
FREE = Option(type="float")
WORD = Option(type="str", default="auto", choices=("auto", "on", "off"))
TEXT = Option(type="str", default="")
ALL = {"flag": BOOL, "count": INT, "share": FLOAT, "mode": WORD, "note": TEXT}


@pytest.mark.parametrize(
    ("option", "given_", "value"),
    [
        (BOOL, "true", True),
        (BOOL, "False", False),
        (BOOL, True, True),
        (INT, "64", 64),
        (INT, 1, 1),
        (FLOAT, "1e-3", 0.001),
        (FLOAT, ".5", 0.5),
        (FLOAT, 1, 1.0),
        (WORD, "on", "on"),
        (TEXT, "", ""),
        (TEXT, "5", "5"),
    ],
)
def test_text_and_toml_values_are_read_by_type(
    option: Option, given_: object, value: object
) -> None:
    read = options.read(option, given_)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("option", "given_"),
    [
        (BOOL, "yes"),
        (BOOL, 1),
        (INT, "1.5"),
        (INT, 1.0),
        (INT, "1e3"),
        (INT, True),
        (INT, "0"),
        (INT, 65),
        (INT, ""),
        (INT, "٣"),
        (INT, "9" * 5000),
        (FLOAT, "nan"),
        (FLOAT, math.nan),
        (FLOAT, "inf"),
        (FREE, math.inf),
        (FREE, 10**400),
        (FREE, "1e999"),
        (FREE, True),
        (FLOAT, "1.01"),
        (FLOAT, "0,5"),
        (WORD, "On"),
        (WORD, True),
        (TEXT, 5),
        (TEXT, None),
        (TEXT, ["a"]),
        (FREE, {"a": 1}),
    ],
)
def test_what_an_option_does_not_take_is_refused(option: Option, given_: object) -> None:
    with pytest.raises(options.Illtyped, match="wants "):
        options.read(option, given_)


def test_the_reason_says_what_is_wanted_and_what_came() -> None:
    with pytest.raises(options.Illtyped) as caught:
        options.read(INT, "ten")
    assert caught.value.reason == "wants a whole number from 1 to 64, not 'ten'"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (BOOL, "true or false"),
        (FREE, "a number"),
        (Option(type="float", minimum=0), "a number of at least 0"),
        (Option(type="int", maximum=2.5), "a whole number of at most 2.5"),
        (WORD, "one of auto, on, off"),
        (Option(type="int", choices=tuple(range(20))), "one of 0, 1, 2, 3, 4, 5, 6, 7, ..."),
    ],
)
def test_wants_is_plain_words(option: Option, words: str) -> None:
    assert options.wants(option) == words


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_survives_being_spelt_and_read(number: float) -> None:
    assert options.read(FREE, options.spelt(number)) == number


@given(st.text() | st.floats() | st.integers() | st.booleans() | st.none() | st.lists(st.text()))
def test_any_value_is_read_into_the_options_type_or_refused(value: object) -> None:
    for option in (BOOL, INT, FLOAT, FREE, WORD, TEXT):
        with suppress(options.Illtyped):
            assert type(options.read(option, value)).__name__ == option.type


def test_every_problem_is_named_at_once_with_the_near_name() -> None:
    with pytest.raises(UsageError) as caught:
        options.read_all(
            ALL, {"cuont": 3, "flag": "maybe", "share": 2, "mode": "on"}, where="head."
        )
    message = caught.value.message
    assert "3 problems" in message
    assert "head.cuont is not known (did you mean 'count'?)" in message
    assert "head.flag wants true or false, not 'maybe'" in message
    assert "head.share wants a number from 0 to 1, not 2" in message
    assert "head.count" in caught.value.hint


def test_a_single_problem_is_one_sentence() -> None:
    with pytest.raises(UsageError) as caught:
        options.read_all(ALL, {"count": 0})
    assert caught.value.message == "count wants a whole number from 1 to 64, not 0."


def test_defaults_fill_what_was_not_given() -> None:
    assert options.read_all(ALL, {"count": "3"}) == {
        "flag": False,
        "count": 3,
        "share": 0.1,
        "mode": "auto",
        "note": "",
    }
    assert options.read_all({"free": FREE}, {}) == {"free": None}


def test_a_long_value_is_cut_in_the_message() -> None:
    (problem,) = options.problems({"count": INT}, {"count": "x" * 10_000})
    assert len(problem) < 150
