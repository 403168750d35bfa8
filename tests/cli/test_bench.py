from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo.speed import Bench

if TYPE_CHECKING:
    from tests.cli.conftest import Zoo

ARGUMENTS = (
    *("bench", "tiny/net+linear+cekl", "--data", "images", "--weights", "none"),
    *("--device", "cpu", "--seconds", "0.02"),
)
pytestmark = pytest.mark.usefixtures("tiny", "images")


def test_a_table_and_verdicts_go_to_standard_output_and_progress_elsewhere(zoo: Zoo) -> None:
    code, out, err = zoo(*ARGUMENTS, "--train", "lpft", "--batch-size", "4")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "tiny/net+heads/linear+losses/cekl"
    assert lines[1].startswith("  device  CPU, 1 threads, fp32, channels last, torch ")
    assert lines[2].startswith("  data    12 training images at 32x32 px, 1 view(s); 12 of them")
    assert lines[3].split()[:4] == ["measured", "median", "min", "max"]
    measured = [line.split("  ")[0] for line in lines[4:13]]
    assert measured == [
        "decode", "features headspace", "features achieved", "features feed", "probe steps",
        "full headspace", "full achieved", "full feed", "full transfer",
    ]  # fmt: skip
    assert [line.split(":")[0] for line in lines[13:]] == [
        *("features", "features, the first run's decoding included"),
        *("full", "full, the first run's decoding included"),
    ]
    assert all(" of headspace" in line for line in lines[13:])
    assert "decode: 12 images" in err
    assert "\x1b" not in out + err
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_json_is_the_record_and_nothing_else(zoo: Zoo) -> None:
    code, out, _ = zoo(*ARGUMENTS, "--train", "probe", "--json")
    assert code == 0
    told = json.loads(out)
    found = Bench.from_json(told)
    assert found.to_json() == told
    assert all(rate.low <= rate.median <= rate.high for rate in found.rates().values())
    assert all(rate.low > 0 and rate.blocks >= 3 for name, rate in found.rates().items()
               if name != "decode")  # fmt: skip


def test_options_reach_the_plan(zoo: Zoo) -> None:
    code, out, _ = zoo(
        *ARGUMENTS, "--train", "full", "--batch-size", "3", "--image-size", "24",
        "--set", "augment=off", "--json",
    )  # fmt: skip
    assert code == 0
    told = json.loads(out)
    assert told["size"] == [24, 24]
    (stage,) = told["stages"]
    assert stage["achieved"]["batch"] == 3
    assert stage["transfer"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("bench",), 2, "Missing argument"),
        (("bench", "tiny/net+linear+ce", "--weights", "none"), 2, "There is no data"),
        (("bench", "tiny/net+linear", *ARGUMENTS[2:]), 2, "backbone+head+loss"),
        ((*ARGUMENTS, "--batch-size", "x"), 2, "batch_size wants a whole number"),
        ((*ARGUMENTS, "--seconds", "0"), 2, "--seconds"),
        ((*ARGUMENTS, "--set", "x"), 2, "--set x is not key=value"),
        (("bench", "tiny/nat+linear+ce", *ARGUMENTS[2:]), 69, "tiny/net"),
        ((*ARGUMENTS, "--data", "gone"), 66, "gone"),
        ((*ARGUMENTS, "--device", "cuda:15"), 69, "--device cuda:15"),
        ((*ARGUMENTS, "--registry", "gone.toml"), 66, "gone.toml"),
    ],
)
def test_a_bad_request_has_its_exit_code_and_no_traceback(
    zoo: Zoo, arguments: tuple[str, ...], code: int, words: str
) -> None:
    got, out, err = zoo(*arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert "Traceback" not in err
    assert [path.name for path in Path().iterdir()] == ["images"]


def test_images_that_cannot_be_read_are_named(zoo: Zoo) -> None:
    for number in range(5):
        Path(f"images/ant/{number}.png").write_bytes(bytes([number]))
    code, out, err = zoo(*ARGUMENTS, "--train", "full")
    assert (code, out) == (65, "")
    assert "cannot be read" in err
