"""Benchmarks of training steps: the loop, the headspace, ceilings, timm's step."""

from __future__ import annotations

import sys
import warnings
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
