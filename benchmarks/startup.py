"""Measures how long the command line takes to answer, beside a bare interpreter and beside timm.

::

    python benchmarks/startup.py [--rounds N] [--slow-rounds N] [--plugins N] [--python FILE]

Wheels of zoo and its plugins are built and installed, with compiled bytecode and in the versions of
this environment, into a temporary one; `zoo` is then its console script, its output goes into a
pipe, and the cache folder is one of its own. The commands take turns, so that whatever else the
machine does falls on all of them. Of each are printed the median and the least milliseconds of wall
time, the median's ratio to that of the first in the table, and the median of CPU time.

In a second environment, made alike, one plugin more is installed, whose hot half imports torch, and
`zoo list` runs in both in pairs. At last so many plugins more are there as `--plugins` says. The
first `zoo list` after an installation asks the plugins in child processes; the second reads what
they said; from the third on the listing is kept. Those times are printed as well, once.

It ends with exit code 1 where `zoo --help` takes more than 8 times as long as `python -c pass`,
`zoo list` more than 10 times, or timm's list less than 40 times as long as `zoo list`; or where the
plugin adds 5 ms of CPU time or more in the middle pair.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parents[1]
UV = os.environ.get("UV") or shutil.which("uv") or "uv"
TIMM = "import timm; timm.list_models()"

#: how many times as long as `python -c pass` these may take
MOST = {"zoo --help": 8.0, "zoo list": 10.0}
#: how many times as long as `zoo list` timm's takes at least
TIMM_LEAST = 40.0
#: what a plugin adds to `zoo list`, below this, seconds of CPU time
PLUGIN_LIMIT = 0.005

COLD = """
import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="warm", target="{module}_hot:build", needs=("logits",))
"""
HOT = "import torch\n\n\ndef build(context):\n    return torch.nn.CrossEntropyLoss()\n"


@dataclass(slots=True)
class Times:
    """What one command took, seconds, round by round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


class Environment:
    """A temporary environment with zoo, its plugins and timm.

    Args:
        folder: to make it in.
        python: interpreter of it.
        variables: of the processes that run in it, beside those of this one.
    """

    def __init__(self, folder: Path, python: Path, **variables: str) -> None:
        """Build the wheels and install them."""
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._variables = {"ZOO_CACHE": str(folder / "cache"), **variables}
        self._empty = folder / "empty"
        self._empty.mkdir()
        wheels, pins = folder / "wheels", folder / "constraints.txt"
        pins.write_text(
            "".join(
                f"{one.name}=={one.version}\n"
                for one in metadata.distributions()
                if not one.name.startswith("zoo-")
            )
        )
        _uv("build", "--wheel", "--all-packages", "--out-dir", wheels, ROOT)
        _uv("venv", "--python", python, folder / "venv")
        self.programs = folder / "venv" / "bin"
        core = next(wheels.glob("zoo_registry-*.whl"))
        self._install(
            *("--find-links", wheels, "--constraints", pins, "--link-mode", "symlink"),
            f"zoo-registry[standard] @ {core.as_uri()}",
        )

    def add_plugins(self, names: list[str]) -> None:
        """Install plugins of one loss each, whose hot halves import torch."""
        sources = []
        for name in names:
            module = name.replace("-", "_")
            source = self._folder / "sources" / name
            source.mkdir(parents=True)
            (source / f"{module}.py").write_text(COLD.format(module=module))
            (source / f"{module}_hot.py").write_text(HOT)
            (source / "pyproject.toml").write_text(_project(name, module))
            sources.append(source)
        self._install("--no-deps", *sources)

    def _install(self, *wanted: str | Path) -> None:
        _uv("pip", "install", "--compile-bytecode", "--python", self.programs / "python", *wanted)

    def run(self, *command: str | Path) -> tuple[float, float]:
        """Seconds of wall time and of CPU time that a command takes."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        self.output(*command)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def output(self, *command: str | Path) -> str:
        """What a command prints, standard output and standard error."""
        done = subprocess.run(  # noqa: S603 - the commands stand below
            [self.programs / command[0], *command[1:]],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._empty,
            env={**os.environ, **self._variables},
        )
        return done.stdout


def _project(name: str, module: str) -> str:
    return f"""
[project]
name = "{name}"
version = "1.0"

[project.entry-points.zoo]
{module} = "{module}"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
include = ["*.py"]
"""


def _uv(command: str, *arguments: str | Path) -> None:
    subprocess.run([UV, *command.split(), "--quiet", *arguments], check=True)  # noqa: S603 - likewise


def measure(
    environment: Environment, commands: dict[str, list[str]], rounds: int
) -> dict[str, float]:
    """Let the commands take turns, and print a line for each; the first is the yardstick.

    Returns:
        By name, the ratio of the medians of wall time.
    """
    times = {name: Times() for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            wall, cpu = environment.run(*command)
            times[name].wall.append(wall)
            times[name].cpu.append(cpu)
    unit = median(next(iter(times.values())).wall)
    ratios = {name: median(taken.wall) / unit for name, taken in times.items()}
    print(f"  {'ms, of ' + str(rounds):28}{'median':>9}{'least':>9}{'ratio':>9}{'CPU':>9}")
    for name, taken in times.items():
        print(
            f"  {name:28}{1e3 * median(taken.wall):9.1f}{1e3 * min(taken.wall):9.1f}"
            f"{ratios[name]:9.2f}{1e3 * median(taken.cpu):9.1f}",
            flush=True,
        )
    return ratios


def in_pairs(without: Environment, beside: Environment, rounds: int) -> float:
    """Run `zoo list` in two environments in turns, and print what the second takes more.

    Returns:
        The median difference of CPU time, seconds.
    """
    taken = [(without.run("zoo", "list"), beside.run("zoo", "list")) for _ in range(rounds)]
    middle = 0.0
    print(f"{f'ms, of {rounds} pairs':20}{'without':>9}{'with':>9}{'more':>9}   quartiles")
    for place, name in enumerate(("wall", "CPU")):
        first, second = ([1e3 * one[at][place] for one in taken] for at in (0, 1))
        more = [b - a for a, b in zip(first, second, strict=True)]
        low, middle, high = quantiles(more, n=4)
        print(
            f"{name:20}{median(first):9.1f}{median(second):9.1f}{middle:9.1f}"
            f"   {low:.1f} to {high:.1f}"
        )
    return middle / 1e3


def first_answers(environment: Environment) -> None:
    """Print what the first listings take after an installation; from the third on it is kept."""
    time.sleep(2.1)  # what was installed a moment ago is not relied on
    taken = [f"{1e3 * environment.run('zoo', 'list')[0]:.0f}" for _ in range(3)]
    environment.run("zoo", "list", "--json")
    print(f"  zoo list after the installation: {', '.join(taken)} ms")


def faults(bare: dict[str, float], timm: dict[str, float], plugin: float | None) -> list[str]:
    """What takes longer than it may.

    Args:
        bare: ratios to `python -c pass`.
        timm: ratios to `zoo list`; empty where that was not measured.
        plugin: seconds of CPU time that one adds; None likewise.
    """
    wrong = [
        f"{name} takes {bare[name]:.1f} times as long as python -c pass, not at most {most:.0f}"
        for name, most in MOST.items()
        if bare[name] > most
    ]
    wrong += [
        f"{name} takes {ratio:.1f} times as long as zoo list, not at least {TIMM_LEAST:.0f}"
        for name, ratio in timm.items()
        if name != "zoo list" and ratio < TIMM_LEAST
    ]
    if plugin is not None and plugin >= PLUGIN_LIMIT:
        limit = f"not below {1e3 * PLUGIN_LIMIT:.0f}"
        wrong.append(f"a plugin adds {1e3 * plugin:.1f} ms of CPU time, {limit}")
    return wrong


def main() -> int:
    """Print the tables; the exit code says whether the limits are kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=25, help="turns of each command, and pairs")
    parser.add_argument("--slow-rounds", type=int, default=3, help="turns beside timm; 0 for none")
    parser.add_argument(
        "--plugins", type=int, default=50, help="more in the last table; 0 for none"
    )
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    arguments = parser.parse_args()
    bare = {"python -c pass": ["python", "-c", "pass"]}
    lists = {"zoo list": ["zoo", "list"], "zoo list --json": ["zoo", "list", "--json"]}
    names = [f"zoo-extra{number}" for number in range(1, arguments.plugins + 1)]
    timm, plugin = dict[str, float](), None
    with tempfile.TemporaryDirectory(prefix="zoo-startup-") as folder:
        without = Environment(Path(folder) / "without", arguments.python)
        print("zoo and its plugins")
        first_answers(without)
        helps = {"zoo --help": ["zoo", "--help"]}
        ratios = measure(without, bare | helps | lists, arguments.rounds)
        if arguments.slow_rounds:
            print("beside timm")
            both = {"zoo list": lists["zoo list"], "timm.list_models()": ["python", "-c", TIMM]}
            timm = measure(without, both, arguments.slow_rounds)
        if names:
            beside = Environment(Path(folder) / "with", arguments.python)
            print("with one more, whose hot half imports torch")
            beside.add_plugins(names[:1])
            first_answers(beside)
            plugin = in_pairs(without, beside, arguments.rounds)
            if names[1:]:
                print(f"with {len(names)} more")
                beside.add_plugins(names[1:])
                first_answers(beside)
                measure(beside, bare | lists, arguments.rounds)
    wrong = faults(ratios, timm, plugin)
    print("\n".join(f"WRONG: {line}" for line in wrong) or "All limits are kept.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
