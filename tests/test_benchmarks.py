"""The scripts under benchmarks/ count and compute what they say."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
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
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the scripts on the import path, as it is when one of them runs."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))


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


@pytest.mark.usefixtures("scripts", "tiny")
def test_the_loop_by_hand_takes_as_many_steps_as_zoos(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import loop
    from tiny_parts import Net  # type: ignore[import-not-found]  # on the path while tiny is

    trained: list[int] = []
    forward = Net.forward

    def counted(net: Any, given: Any) -> Any:  # noqa: ANN401 - a module and tensors
        if net.training:
            trained.append(len(given))
        return forward(net, given)

    monkeypatch.setattr(Net, "forward", counted)
    asked = Namespace(data=str(images), pairs=2, steps=3, device="cpu", batch_size=4, image_size=32)
    found = loop.measure("tiny/net+linear+ce", asked)
    assert len(found) == 2
    assert all(side.clock > 0 for pair in found for side in pair)
    # Two sides, a pair of blocks to warm up and two that count.
    assert trained == [4] * (2 * 3 * 3)


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(("ratio", "code"), [(1.02, 0), (1.05, 1)])
def test_a_loop_that_costs_more_than_the_aim_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ratio: float, code: int
) -> None:
    import loop

    pairs = [(loop.Block(ratio * one, 9.0), loop.Block(float(one), 1.0)) for one in range(1, 25)]

    def measured(*_: object) -> object:
        return pairs

    monkeypatch.setattr(loop, "measure", measured)
    monkeypatch.setattr(sys, "argv", ["loop.py", "--spec", "a+b+c"])
    assert loop.main() == code
    shown = f"clock: {ratio:.4f} of the loop by hand, below {ratio:.4f} with 95 % confidence"
    assert shown in capsys.readouterr().out


@pytest.mark.usefixtures("scripts")
def test_the_bound_is_above_the_mean_and_falls_with_the_number_of_pairs() -> None:
    import loop

    few, many = [1.0, 1.1] * 10, [1.0, 1.1] * 100
    (mean, above), (same, nearer) = loop.bounded(few), loop.bounded(many)
    assert mean == pytest.approx(1.05)
    assert same == pytest.approx(1.05)
    # 1.645 standard deviations of a mean of 20, and of 200.
    assert above == pytest.approx(1.05 + 1.645 * 0.05 / 20**0.5, abs=0.003)
    assert nearer == pytest.approx(1.05 + 1.645 * 0.05 / 200**0.5, abs=0.001)


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    ("architecture", "published"),
    [
        ("resnet18", 33_400),
        ("resnet50", 9_660),
        ("vit_small_patch16_224", 11_300),
        ("convnext_tiny", 8_200),
        ("efficientnet_b0", 21_300),
    ],
)
def test_ceilings_are_those_of_products_and_of_memory_one_after_the_other(
    architecture: str, published: float
) -> None:
    import ceilings

    assert ceilings.ceiling(architecture, "NVIDIA H200") == pytest.approx(published, rel=0.01)
    slower = ceilings.ceiling(architecture, "NVIDIA H100 80GB HBM3")
    assert slower is not None
    assert slower < published
    assert ceilings.ceiling(architecture, "NVIDIA A10") is None
    assert ceilings.ceiling("unheard_of", "NVIDIA H200") is None


@pytest.mark.usefixtures("scripts")
def test_a_ceiling_is_of_the_very_card_and_says_where_it_comes_from() -> None:
    import ceilings

    rates = {name: ceilings.ceiling("resnet50", name) for name in ceilings.CARDS}
    assert len({rates[f"NVIDIA H100 {one}"] for one in ("80GB HBM3", "NVL", "PCIe")}) == 3
    assert rates["NVIDIA A100-SXM4-80GB"] != rates["NVIDIA A100-SXM4-40GB"]
    assert "measured" in ceilings.origin("NVIDIA H200")
    assert "derived from its data sheet" in ceilings.origin("NVIDIA H100 80GB HBM3")
    for unknown in ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "NVIDIA GH200 480GB", "NVIDIA H100"):
        assert ceilings.ceiling("resnet50", unknown) is None
        assert ceilings.origin(unknown).startswith("No ceiling is known of")


@pytest.mark.usefixtures("scripts")
def test_every_network_of_the_aim_has_a_ceiling() -> None:
    import ceilings
    import headspace

    assert {headspace.architecture_of(one) for one in headspace.CUDA_SPECS} == {*ceilings.NETWORKS}
    assert headspace.architecture_of("net.v1:width=8+linear+ce") == "net"


@pytest.mark.usefixtures("scripts")
def test_the_table_is_of_the_faster_of_timms_ways_and_of_ratios_of_one_round() -> None:
    from headspace import Block, ratios, row, table

    def blocks(*seconds: float) -> list[Block]:
        return [Block(1000, one, one, 0) for one in seconds]

    found = {
        "zoo": blocks(0.10, 0.05, 0.10),
        "headspace": blocks(0.05, 0.05, 0.05),
        "timm": blocks(0.5, 0.5, 0.5),
        "timm compiled": blocks(0.20, 0.20, 0.10),
    }
    assert ratios(found["timm compiled"], found["zoo"]) == pytest.approx([2, 4, 1])
    known = row("resnet18", found, "NVIDIA H200")
    assert known[:5] == ("resnet18", "10,000", "20,000", "5,000", "2.00 (1.00 to 4.00)")
    assert known[5:] == ("33,365", "0.30", "0.15")
    del found["timm"], found["timm compiled"]
    assert row("net", found, "") == ("net", "10,000", "20,000", *["-"] * 5)
    assert table([known]).splitlines()[2].startswith("| resnet18 | 10,000 | 20,000 | 5,000 | 2.00")


@pytest.mark.usefixtures("scripts")
def test_sides_take_turns_at_being_first() -> None:
    from inside import in_turns

    order = list[str]()

    def side(name: str) -> Callable[[int], str]:
        def one(turn: int) -> str:
            order.append(name)
            return f"{name}{turn}"

        return one

    assert in_turns(2, *map(side, "abc")) == [("a1", "b1", "c1"), ("a2", "b2", "c2")]
    assert "".join(order) == "bca" + "cab" + "abc"


@pytest.mark.usefixtures("scripts", "tiny")
def test_timm_takes_as_many_steps_of_the_same_batches_as_zoo(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import headspace
    import timm_step
    from tiny_parts import Net  # type: ignore[import-not-found]  # on the path while tiny is
    from torch import nn

    trained: dict[str, list[tuple[int, ...]]] = {"zoo": [], "timm": []}

    def counted(side: str, model: type[nn.Module]) -> None:
        forward = model.forward

        def noted(net: Any, given: Any) -> Any:  # noqa: ANN401 - a module and tensors
            if net.training and given.device.type != "meta":
                trained[side].append(tuple(given.shape))
            return forward(net, given)

        monkeypatch.setattr(model, "forward", noted)

    class Theirs(nn.Sequential):
        def __init__(self, _name: str, classes: int) -> None:
            super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))

    monkeypatch.setattr(timm_step, "network", Theirs)
    counted("zoo", Net)
    counted("timm", Theirs)
    arguments = ["--spec", "tiny/net+linear+ce", "--data", str(images), "--device", "cpu"]
    # More than the twelve training images, which come round.
    arguments += ["--pairs", "2", "--steps", "3", "--batch-size", "8"]
    monkeypatch.setattr(sys, "argv", ["headspace.py", *arguments])
    monkeypatch.setattr(headspace, "AIM", 0.0)
    assert headspace.main() == 0
    # zoo twice, fed and from one batch; timm once. Two rounds and one of warming up.
    assert len(trained["zoo"]) == 2 * len(trained["timm"]) == 2 * 3 * 3
    assert {*trained["zoo"]} == {*trained["timm"]}
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "CUDA: none here, so its figures are not measured"
    assert out[1] == "tiny/net+linear+ce: 2 rounds of 24 images each"
    assert [line.split(":")[0].strip() for line in out[2:5]] == ["zoo", "headspace", "timm"]
    assert out[-2].startswith("| net | ")
    assert out[-2].endswith(" | - | - | - |")
    aim = "at least 0.0 of the headspace by the clock, and no wait within a step"
    assert out[-1] == f"aim: {aim}: held"


@pytest.mark.usefixtures("scripts", "tiny")
def test_waits_within_steps_are_counted_without_the_looks_at_numbers(
    images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import headspace

    from zoo.training import fit
    from zoo.training.ledger import Ledger

    look, step, within = Ledger.look, fit._step, list[int]()  # noqa: SLF001 - watched

    def looking(ledger: Ledger) -> Any:  # noqa: ANN401 - passed on
        if found := look(ledger):
            warnings.warn(headspace.WAITED, stacklevel=1)
        return found

    def stepping(*given: Any) -> None:  # noqa: ANN401 - a step's
        step(*given)
        for _ in within:
            warnings.warn(headspace.WAITED, stacklevel=1)

    monkeypatch.setattr(Ledger, "look", looking)
    monkeypatch.setattr(fit, "_step", stepping)
    asked = Namespace(data=str(images), pairs=1, steps=3, device="cpu", batch_size=4, compile=False)
    spec = "tiny/net+linear+ce"
    (fed,) = headspace.measure(spec, asked)["zoo"]
    assert (fed.images, fed.steps, fed.waits) == (12, 3, 0)
    within += [1, 1]
    (fed,) = headspace.measure(spec, asked)["zoo"]
    assert fed.waits == 6


@pytest.mark.usefixtures("scripts")
@pytest.mark.parametrize(
    ("seconds", "processor", "waits", "clock", "missed"),
    [
        (1.03, 9.0, 0, True, []),
        (1.04, 1.0, 0, True, ["a+b (0.962 of the headspace)"]),
        (9.0, 1.03, 0, False, []),
        (1.0, 1.04, 0, False, ["a+b (0.962 of the headspace)"]),
        (1.0, 1.0, 1, True, ["a+b (2 waits within steps)"]),
    ],
)
def test_a_headspace_that_is_not_reached_and_a_step_that_waits_are_faults(
    seconds: float, processor: float, waits: int, missed: list[str], *, clock: bool
) -> None:
    from headspace import Block, faults

    found = {
        "zoo": [Block(1000, seconds, processor, waits, 50)] * 2,
        "headspace": [Block(1000, 1.0, 1.0, 0, 50)] * 2,
    }
    assert faults("a+b", found, clock=clock) == missed


@pytest.mark.usefixtures("scripts", "tiny")
def test_a_missed_headspace_ends_the_script_with_1(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import headspace

    monkeypatch.setattr(headspace, "AIM", 1e9)
    spec = "tiny/net+linear+ce"
    arguments = ["--spec", spec, "--data", str(images), "--device", "cpu", "--pairs", "1"]
    monkeypatch.setattr(sys, "argv", ["headspace.py", *arguments])
    assert headspace.main() == 1
    out = capsys.readouterr().out
    assert f"1 rounds of {8 * 32} images each" in out  # the sizes where there is no card
    assert f"missed by {spec} (" in out


@pytest.mark.usefixtures("scripts")
def test_timm_learns_what_it_is_shown_and_has_the_names_of_its_networks() -> None:
    import timm_step
    import torch
    from torch import nn

    from zoo.training.device import choose

    device = choose("cpu", "bf16", "on", layout="conv")
    torch.manual_seed(0)
    last = nn.Linear(3, 2)
    before = last.weight.clone()
    model = nn.Sequential(nn.Flatten(), last)
    steps = timm_step.Steps(model, torch.randn(4, 3, 1, 1), 2, device, compiled=False)
    assert steps.take(3) == 12
    assert not torch.equal(last.weight, before)
    assert timm_step.network("unheard_of", 2) is None
    with torch.device("meta"):
        lite = timm_step.network("lite0", 5)
        assert lite is not None
        assert lite(torch.zeros(2, 3, 32, 32)).shape == (2, 5)
