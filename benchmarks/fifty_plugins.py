"""Measures what fifty installed plugins add to `zoo list`, some of them broken, slow or colliding.

::

    python benchmarks/fifty_plugins.py [--rounds N] [--python FILE]

Wheels of zoo and its plugins are built and installed into a temporary environment, in the way of
`benchmarks/startup.py`, and a second environment is made alike, with fifty generated plugins more,
whose files and metadata are written as an installer leaves them. `zoo list` runs in both in turns,
its output in a pipe. Printed are the medians, and the median difference of the pairs with its
quartiles: of wall time, and of CPU time, which is what to look at where the machine does other
things beside.

It ends with exit code 1 where the fifty cost more than 25 ms of CPU time in the middle pair, where
a broken plugin is not named, or where a disabled one was imported.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from startup import Environment, in_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator

#: what the fifty may add to `zoo list`, seconds
LIMIT = 0.025
COUNT = 50
#: names of components; zoo's own are among them, and all are shared
NAMES = ("ce", "cekl", "focal", "dice", "ranking", "triplet", "plain")
#: what becomes of ten in a row
ROLES = (
    *("fine", "fine", "fine", "breaks", "fine"),
    *("lacks", "fine", "sleeps", "fine", "disabled"),
)
#: what is asked for by those that lack it
UNMET = ("zoo-registry>=99", "no-such-library>=1", "pluggy<1")

MODULE = """
import pathlib
import zoo

with open(pathlib.Path(__file__).with_name("imported.txt"), "a") as stream:
    print("{module}", file=stream)
{trouble}

@zoo.hookimpl
def zoo_losses():
    for name in {names}:
        yield zoo.Component(
            name=name, target="{module}_hot:build", needs=("logits",), summary="One of fifty.",
            options={{"weight": zoo.Option(type="float", default=1.0, minimum=0)}},
        )
"""
#: what is wrong with a broken one: code in its module
BROKEN = {
    "raises": "raise RuntimeError('not today')",
    "misses": "import a_library_that_nobody_has",
    "exits": "raise SystemExit(3)",
    "ends": "import os; os._exit(4)",
    "unmarked": "zoo.hookimpl = lambda hook: hook",
}
#: libraries that take their time, as they would
SLOW = "import time\ntime.sleep(0.3)\n"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A generated plugin.

    Args:
        name: of its distribution.
        files: name → text, of its modules.
        requires: of its distribution.
        broken: whether it must be quarantined.
        disabled: whether the user disabled it.
    """

    name: str
    files: dict[str, str] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    broken: bool = False
    disabled: bool = False

    @property
    def module(self) -> str:
        """What its entry point names."""
        return self.name.replace("-", "_")


def plugins(count: int = COUNT) -> Iterator[Plugin]:
    """So many of them: of ten, two are broken, one slow, one disabled; all collide in names."""
    for number in range(count):
        name, role = f"zoo-fifty{number:02}", ROLES[number % len(ROLES)]
        module = name.replace("-", "_")
        trouble = {
            "breaks": [*BROKEN.values()][number // len(ROLES) % len(BROKEN)],
            "sleeps": SLOW,
            "disabled": "raise RuntimeError('imported, though it is disabled')",
        }
        names = tuple(NAMES[(number + at) % len(NAMES)] for at in range(4))
        yield Plugin(
            name,
            files={
                f"{module}.py": MODULE.format(
                    module=module, trouble=trouble.get(role, ""), names=names
                ),
                f"{module}_hot.py": "import torch\n",
            },
            requires=(UNMET[number % len(UNMET)],) if role == "lacks" else (),
            broken=role in {"breaks", "lacks"},
            disabled=role == "disabled",
        )


def install(plugin: Plugin, site: Path) -> None:
    """Write a plugin's files and metadata as an installer of wheels leaves them."""
    info = site / f"{plugin.module}-1.0.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {one}\n" for one in plugin.requires)
    head = f"Metadata-Version: 2.4\nName: {plugin.name}\nVersion: 1.0\n"
    texts = plugin.files | {
        f"{info.name}/METADATA": head + needs,
        f"{info.name}/entry_points.txt": f"[zoo]\n{plugin.module} = {plugin.module}\n",
        f"{info.name}/INSTALLER": "uv",
    }
    record = ""
    for name, text in texts.items():
        (site / name).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode()
        record += f"{name},sha256={digest.rstrip('=')},{len(text)}\n"
    (info / "RECORD").write_text(f"{record}{info.name}/RECORD,,\n")


def disabling(names: Iterator[str] | list[str]) -> str:
    """The text of a config.toml that disables these distributions."""
    return f"disabled = [{', '.join(repr(name) for name in names)}]\n"


def _check(environment: Environment, site: Path, made: list[Plugin]) -> list[str]:
    """What is wrong with what `zoo list` says of the fifty."""
    told = environment.output("zoo", "list")
    wrong = [
        f"{one.name} is broken and not named"
        for one in made
        if one.broken and f"{one.name} 1.0 is quarantined" not in told
    ]
    imported = (site / "imported.txt").read_text().split()
    return wrong + [
        f"{one.name} is disabled and was imported"
        for one in made
        if one.disabled and one.module in imported
    ]


def _settled(environment: Environment) -> None:
    """List until the answer is kept: what was installed a moment ago is not relied on."""
    time.sleep(2.1)
    for _ in range(3):
        environment.run("zoo", "list")


def main() -> int:
    """Print the figures; the exit code says whether the promises hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=40, help="pairs")
    parser.add_argument("--python", type=Path, default=Path(sys.executable))
    arguments = parser.parse_args()
    made = [*plugins()]
    with tempfile.TemporaryDirectory(prefix="zoo-fifty-") as folder:
        pair = [_environment(Path(folder) / name, arguments.python) for name in ("without", "with")]
        without, beside = pair
        site = next((beside.programs.parent / "lib").glob("*/site-packages"))
        for one in made:
            install(one, site)
        (Path(folder) / "with" / "config").mkdir()
        disabled = [one.name for one in made if one.disabled]
        (Path(folder) / "with" / "config" / "config.toml").write_text(disabling(disabled))
        for one in pair:
            _settled(one)
        wrong = _check(beside, site, made)
        middle = in_pairs(without, beside, arguments.rounds)
    if middle > LIMIT:
        wrong.append(f"they cost {1e3 * middle:.1f} ms of CPU time, more than {1e3 * LIMIT:.0f}")
    broken = sum(one.broken for one in made)
    print(
        f"{len(made)} plugins: {broken} broken and named, {len(disabled)} disabled and not imported"
    )
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


def _environment(folder: Path, python: Path) -> Environment:
    return Environment(folder, python, ZOO_CONFIG=str(folder / "config"))


if __name__ == "__main__":
    sys.exit(main())
