"""The scripts under benchmarks/ count and compute what they say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from types import ModuleType

#: decodes one picture, has a process of its own decode another, and convolves 2 and 3 images
WORK = """
import subprocess, sys
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").convert("L")
again = "import sys; from PIL import Image; Image.open(sys.argv[1]).load()"
subprocess.run([sys.executable, "-P", "-c", again, sys.argv[1]], check=True)
import torch
network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3))
for count in (2, 3):
    network(torch.zeros(count, 3, 8, 8))
network.to("meta")(torch.zeros(7, 3, 8, 8, device="meta"))
print("done")
"""

DECODING = """
import sys
from pathlib import Path
from zoo.data.decode import decode_scaled
print(decode_scaled(Path(sys.argv[1]), 0).size)
"""


@pytest.fixture
def peers(scripts: None) -> ModuleType:
    """The driver of the side-by-side runs."""
    del scripts
    import peers

    return peers


def result(peers: ModuleType, arm: str, seed: int, wall: float, top1: float) -> object:
    whole = peers.Measured(wall, 4.0, 1.0, 900.0, 10, 20, "")
    return peers.Result(arm, seed, top1, wall / 2, whole, {})


@pytest.mark.usefixtures("scripts")
def test_decodes_and_forwards_are_counted_in_a_process_and_those_that_it_starts(
    tmp_path: Path,
) -> None:
    from processes import measured

    Image.new("RGB", (80, 60)).save(tmp_path / "one.png")
    found = measured([sys.executable, "-c", WORK, str(tmp_path / "one.png")])
    assert (found.decoded, found.forwards) == (2, 5)
    assert found.output == "done\n"
    assert found.rss > 10
    assert found.user > 0
    assert found.wall > 0


@pytest.mark.usefixtures("scripts")
def test_a_jpeg_counts_once_whichever_decoder_takes_it_and_what_decoders_are_tried_on_does_not(
    tmp_path: Path,
) -> None:
    from processes import measured

    exif = Image.Exif()
    exif[0x0112] = 3  # Pillow's, since it is to be turned
    Image.new("RGB", (80, 60)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (80, 60)).save(tmp_path / "upright.jpg")
    for name in ("turned", "upright"):
        found = measured([sys.executable, "-c", DECODING, str(tmp_path / f"{name}.jpg")])
        assert found.decoded == 1


@pytest.mark.usefixtures("scripts")
def test_a_process_that_fails_is_not_measured_but_told() -> None:
    from processes import measured

    with pytest.raises(RuntimeError, match=r"ended with 3:\nno such thing"):
        measured(
            [
                sys.executable,
                "-c",
                "import sys; print('no such thing', file=sys.stderr); sys.exit(3)",
            ]
        )


def test_ratios_are_of_pairs_of_one_round_and_accuracies_are_means(peers: ModuleType) -> None:
    found = [
        result(peers, arm, seed, wall, top1)
        for seed, walls in enumerate(((10.0, 30.0), (20.0, 40.0), (10.0, 50.0)))
        for arm, wall, top1 in zip(("zoo", "timm"), walls, (0.9, 0.89 + seed / 1000), strict=True)
    ]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in peers.table(found)]
    header, _, zoo, timm = rows
    column = header.index("times zoo's")
    assert zoo[column] == "1.00 (1.00 to 1.00)"
    assert timm[column] == "3.00 (2.00 to 5.00)"
    assert timm[header.index("wall s")] == "40.0"
    assert timm[header.index("top-1")] == "89.10"
    assert timm[header.index("points to zoo")] == "-0.90 (less accurate)"


@pytest.mark.parametrize(("zoo", "difference"), [(0.9, 1.0), (0.885, -0.5), (0.8849, -0.51)])
def test_zoos_accuracy_is_held_to_the_best_of_the_others(
    peers: ModuleType, zoo: float, difference: float
) -> None:
    arms = {"zoo": zoo, "zoo-again": 0.99, "timm": 0.89, "sklearn": 0.88}
    found = [
        result(peers, arm, seed, 1.0, top1 + shift)
        for seed, shift in enumerate((-0.01, 0.0, 0.01))
        for arm, top1 in arms.items()
    ]
    assert peers.best(found) == ("timm", difference)


def test_each_round_begins_with_another_arm_and_a_second_run_follows_the_first(
    peers: ModuleType,
) -> None:
    arms = ["zoo", "zoo-again", "timm", "sklearn"]
    assert [peers.in_turn(arms, seed) for seed in range(3)] == [
        ["zoo", "zoo-again", "timm", "sklearn"],
        ["timm", "sklearn", "zoo", "zoo-again"],
        ["sklearn", "zoo", "zoo-again", "timm"],
    ]
    assert peers.in_turn(["zoo-again"], 1) == ["zoo-again"]


def test_every_arm_gets_the_same_images_by_zoos_split(peers: ModuleType, tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for number in range(10):
            picture = Image.new("RGB", (4, 4), (number, ord(label), 0))
            picture.save(tmp_path / "data" / label / f"{number}.png")

    def copied(seed: int, limit: int, name: str) -> dict[str, set[bytes]]:
        place = peers.tree(tmp_path / "data", seed, limit, tmp_path / name)
        return {
            split: {file.read_bytes() for file in (place / split).rglob("*.png")}
            for split in ("train", "val")
        }

    whole = copied(0, 0, "whole")
    assert {split: len(files) for split, files in whole.items()} == {"train": 16, "val": 4}
    assert not whole["train"] & whole["val"]
    assert copied(0, 0, "again") == whole
    assert copied(1, 0, "other") != whole
    half = copied(0, 10, "half")
    assert {split: len(files) for split, files in half.items()} == {"train": 8, "val": 2}


def test_an_arm_that_is_not_there_is_refused(
    peers: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        peers.settled(["--data", "x", "--train", "full", "--only", "sklearn"])
    assert "--train full has no sklearn, but zoo, timm" in capsys.readouterr().err


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    ("help_", "list_", "timm", "plugin", "wrong"),
    [
        (8.0, 10.0, 40.0, 0.0049, []),
        (8.1, 10.0, 40.0, 0.0, ["zoo --help takes 8.1 times as long as python -c pass"]),
        (8.0, 10.1, 40.0, 0.0, ["zoo list takes 10.1 times as long as python -c pass"]),
        (8.0, 10.0, 39.9, 0.0, ["timm.list_models() takes 39.9 times as long as zoo list"]),
        (8.0, 10.0, 40.0, 0.005, ["a plugin adds 5.0 ms of CPU time"]),
    ],
)
def test_an_answer_that_takes_longer_than_it_may_is_named(
    help_: float, list_: float, timm: float, plugin: float, wrong: list[str]
) -> None:
    import startup

    bare = {"python -c pass": 1.0, "zoo --help": help_, "zoo list": list_}
    beside = {"zoo list": 1.0, "timm.list_models()": timm}
    assert [line.split(",")[0] for line in startup.faults(bare, beside, plugin)] == wrong
    assert startup.faults(bare | dict.fromkeys(startup.MOST, 1.0), {}, None) == []


@pytest.mark.usefixtures("scripts")
def test_what_a_plugin_adds_is_the_middle_of_pairs_that_take_turns() -> None:
    import startup

    order = list[str]()

    class Told:
        def __init__(self, name: str, *seconds: float) -> None:
            self.name, self.seconds = name, iter(seconds)

        def run(self, *command: str) -> tuple[float, float]:
            assert command == ("zoo", "list")
            order.append(self.name)
            return 1.0, next(self.seconds)

    without, beside = Told("a", 1.0, 2.0, 9.0), Told("b", 1.5, 2.25, 9.125)
    assert startup.in_pairs(without, beside, 3) == pytest.approx(0.25)  # type: ignore[bad-argument-type]  # told, not run
    assert "".join(order) == "ababab"


def test_every_script_has_its_entry() -> None:
    place = Path(__file__).parents[1] / "benchmarks"
    told = (place / "README.md").read_text("utf-8")
    scripts = [one for one in place.glob("*.py") if "__main__" in one.read_text("utf-8")]
    assert scripts
    assert not [one.name for one in scripts if f"**`{one.name}`**" not in told]


def test_the_peers_are_no_older_than_those_of_the_results() -> None:
    place = Path(__file__).parents[1] / "benchmarks"
    results = (place / "RESULTS.md").read_text("utf-8")
    lines = (place / "peers" / "requirements.txt").read_text("utf-8").splitlines()
    wanted = [line.split(">=") for line in lines if not line.startswith("#")]
    for name, version in wanted:
        assert f"{name} {version}" in results
    assert {name for name, _ in wanted} == {"accelerate", "fastai", "scikit-learn", "transformers"}
