import pytest

from zoo import options
from zoo.components import KINDS
from zoo.errors import UsageError
from zoo.settings import SETTINGS, assignments, split_settings


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_help_and_a_legal_default(name: str) -> None:
    option = SETTINGS[name]
    assert option.help
    assert "\n" not in option.help
    if option.default is not None:
        assert options.read(option, option.default) == option.default


def test_no_setting_is_taken_for_a_component_option() -> None:
    assert not [name for name in SETTINGS if name.split(".")[0] in KINDS]


def test_settings_and_component_options_are_told_apart() -> None:
    settings, components = split_settings(
        {"lr": 1, "head.dropout": 2, "loss.kl_weight": 3, "head.a.b": 4, "probe.lr": 5, "nope": 6}
    )
    assert settings == {"lr": 1, "probe.lr": 5, "nope": 6}
    assert components == {
        "backbone": {},
        "head": {"dropout": 2, "a.b": 4},
        "loss": {"kl_weight": 3},
    }


def test_assignments_keep_everything_behind_the_first_equals_sign() -> None:
    assert assignments(["loss.teacher=runs/a=b", "lr=", "seed = 3"]) == {
        "loss.teacher": "runs/a=b",
        "lr": "",
        "seed": " 3",
    }


def test_all_wrong_assignments_are_named_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        assignments(["lr", "=3", "seed=1", "seed=2"])
    assert "lr is not key=value" in caught.value.message
    assert "=3 is not key=value" in caught.value.message
    assert "seed is given twice" in caught.value.message
