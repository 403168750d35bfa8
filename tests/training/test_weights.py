from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

import zoo
from zoo.errors import BadWeights, InputMissing, Refused
from zoo.training.weights import read_state_dict

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


def state(seed: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    found = net().state_dict()
    found["0.weight"] = torch.randn(4, 3, 1, 1)
    return dict(found)


def written(folder: Path, content: Any, name: str = "w.pth") -> Path:  # noqa: ANN401 - whatever trainers save
    file = folder / name
    if name.endswith(".safetensors"):
        save_file(content, file)
    else:
        torch.save(content, file)
    return file


WRAPPED: dict[str, Callable[[dict[str, Tensor]], object]] = {
    "plain": lambda found: found,
    "state_dict": lambda found: {"state_dict": found, "epoch": 3},
    "model": lambda found: {"model": found, "optimizer": {}},
    "ema": lambda found: {"state_dict_ema": found},
    "module.": lambda found: {f"module.{key}": one for key, one in found.items()},
    "compiled in ddp": lambda found: {f"module._orig_mod.{key}": one for key, one in found.items()},
    "zoo's own": lambda found: (
        {f"backbone.{key}": one for key, one in found.items()}
        | {"head.weight": torch.ones(2), "feature_scale": torch.ones(())}
    ),
}


@pytest.mark.parametrize(
    ("wrapped", "name"),
    [
        *((wrapped, "w.pth") for wrapped in WRAPPED),
        *((wrapped, "w.safetensors") for wrapped in ("plain", "module.", "zoo's own")),
    ],
)
def test_wrappers_and_prefixes_come_off(tmp_path: Path, wrapped: str, name: str) -> None:
    content = WRAPPED[wrapped](state())
    loaded = zoo.load_weights(net(), written(tmp_path, content, name))
    assert torch.equal(loaded.state_dict()["0.weight"], state()["0.weight"])
    assert str(loaded.load_report) == "matched 7 of 7"


def test_a_classifier_may_be_left_over_and_is_counted(tmp_path: Path) -> None:
    file = written(tmp_path, {**state(), "fc.weight": torch.ones(9), "fc.bias": torch.ones(9)})
    loaded = zoo.load_weights(net(), file, classifier=("fc.",))
    assert str(loaded.load_report) == "matched 7 of 7; 2 classifier tensors left over"


def test_renamed_keys_are_judged_by_their_new_names(tmp_path: Path) -> None:
    file = written(tmp_path, {f"features.{key}": one for key, one in state().items()})

    def rename(found: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key.removeprefix("features."): one for key, one in found.items()}

    assert "7 of 7" in str(zoo.load_weights(net(), file, rename=rename).load_report)


def test_an_older_files_missing_counter_is_forgiven(tmp_path: Path) -> None:
    found = state()
    del found["1.num_batches_tracked"]
    assert str(zoo.load_weights(net(), written(tmp_path, found)).load_report) == "matched 6 of 7"


def test_what_does_not_fit_is_counted_and_named(tmp_path: Path) -> None:
    found = state()
    del found["1.running_mean"]
    found["0.weight"] = torch.ones(4, 3, 3, 3)
    found["fc.weight"] = torch.ones(3)
    module = net()
    before = {key: one.clone() for key, one in module.state_dict().items()}
    with pytest.raises(BadWeights) as caught:
        zoo.load_weights(module, written(tmp_path, found))
    assert caught.value.exit_code == 65
    assert caught.value.message.splitlines() == [
        "w.pth does not fit this backbone: matched 5 of 7 tensors.",
        "  1 missing in the file: 1.running_mean",
        "  1 of another shape: 0.weight (4, 3, 3, 3) instead of (4, 3, 1, 1)",
        "  1 unknown to the backbone: fc.weight",
    ]
    assert all(torch.equal(one, before[key]) for key, one in module.state_dict().items())


def test_many_keys_are_cut_short(tmp_path: Path) -> None:
    many = {f"x{number}": torch.ones(1) for number in range(20)}
    with pytest.raises(BadWeights, match=r"20 unknown to the backbone: x0, .* and 12 more"):
        zoo.load_weights(net(), written(tmp_path, {**state(), **many}))


class Payload:
    """What unpickling would run."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return print, ("run",)


def test_a_pickle_that_would_run_code_is_refused_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(pickle.dumps({"x": Payload()}, protocol=2))
    torch.save({"x": Payload()}, tmp_path / "zip.pth")
    for path in (file, tmp_path / "zip.pth"):
        with pytest.raises(Refused, match="it was not read"):
            read_state_dict(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("w.safetensors", b"not one"),
        ("w.safetensors", b""),
        ("w.pth", b"neither"),
        ("w.pth", b""),
        ("w.pth", b"\x80\x02K\x03."),
    ],
    ids=["garbage safetensors", "empty safetensors", "garbage", "empty", "a pickled number"],
)
def test_a_file_of_another_kind_is_bad_weights(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadWeights, match=name):
        read_state_dict(tmp_path / name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=40), st.sampled_from([b"", b"\x80\x02", b"\x80\x02}q\x00", b"PK\x03\x04"])
)
def test_any_bytes_are_bad_weights_or_refused(tmp_path: Path, data: bytes, start: bytes) -> None:
    (tmp_path / "w.pth").write_bytes(start + data)
    with pytest.raises((BadWeights, Refused)):  # the latter where they happen to name code
        read_state_dict(tmp_path / "w.pth")


def test_a_cut_off_file_is_bad_weights(tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        file = written(tmp_path, state(), name)
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(BadWeights):
            read_state_dict(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="cannot be read"):
        read_state_dict(tmp_path / "none.pth")
