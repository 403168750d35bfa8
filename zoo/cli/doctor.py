"""`zoo doctor`: versions, devices, folders and plugins, also where something of it is broken."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import click

from zoo import __version__, caches, folders
from zoo.cli import console
from zoo.errors import PluginFault, UsageError
from zoo.plugins.loader import Problem, offers

_LIBRARIES = ("torch", "torchvision", "timm", "pluggy", "pillow", "safetensors")
#: seconds for torch to be imported and to look at the machine's devices
_LIMIT = 120
_ASK_TORCH = """
import json, torch
names = ["cpu"]
names += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
names += ["mps"] if torch.backends.mps.is_available() else []
print(json.dumps(names))
"""


@click.command()
@click.option("--json", "wants_json", is_flag=True, help="Write JSON.")
def command(*, wants_json: bool) -> None:
    """Check versions, devices, caches and plugins; exits with 70 when a plugin is quarantined."""
    found = offers()
    problems = [offer.problem for offer in found if offer.problem]
    report = {
        "versions": _versions(),
        "devices": _devices(),
        "folders": {
            "cache": {
                "path": str(folders.cache()),
                "bytes": {one.name: one.bytes for one in caches.caches()},
            },
            "config": {"path": str(folders.config()), "bytes": dict[str, int]()},
        },
        "budget": _budget(),
        "plugins": [_problem(problem) for problem in problems],
        "disabled": [
            {"distribution": one.distribution, "version": one.version, **one.off._asdict()}
            for one in (offer.source for offer in found)
            if one.off
        ],
    }
    if wants_json:
        console.as_json(report)
    else:
        _print(report)
    out = [problem.distribution for problem in problems if problem.quarantined]
    if out:
        raise PluginFault(f"Quarantined: {', '.join(out)}.", hint="zoo plugins shows why.")


def _versions() -> dict[str, str]:
    found = {"zoo": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _LIBRARIES:
        try:
            # None, or no such key, of metadata that a half-done removal left
            found[name] = metadata.version(name) or "unknown"
        except KeyError:
            found[name] = "unknown"
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _budget() -> dict[str, Any]:
    """What pictures and features may take of the disk, bytes."""
    try:
        most, room = int(caches.limit()), caches.room(())
    except UsageError as error:
        return {"problem": f"{error.message} {error.hint}"}
    return {"bytes": most, "used": caches.grown(), "room": room, "problem": ""}


def _devices() -> dict[str, Any]:
    """What torch sees, asked in a process of its own: a broken torch must not break the doctor."""
    try:
        asked = subprocess.run(  # noqa: S603 - the program text stands above
            [sys.executable, "-c", _ASK_TORCH],
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"found": [], "problem": f"torch did not answer within {_LIMIT} s"}
    if asked.returncode == 0:
        return {"found": json.loads(asked.stdout.splitlines()[-1]), "problem": ""}
    lines = asked.stderr.strip().splitlines() or [f"torch ends Python with {asked.returncode}"]
    return {"found": [], "problem": lines[-1]}


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "distribution": problem.distribution,
        "version": problem.version,
        "reason": problem.reason,
        "quarantined": problem.quarantined,
    }


def _print(report: dict[str, Any]) -> None:
    rows = [["version", name, version] for name, version in report["versions"].items()]
    devices = report["devices"]
    rows += [["device", "", name] for name in devices["found"]]
    rows += [["device", "problem", devices["problem"]]] if devices["problem"] else []
    for name, folder in report["folders"].items():
        rows.append(["folder", name, folder["path"]])
        rows += [
            ["folder", f"{name}/{part}", f"{size / 1e6:,.1f} MB"]
            for part, size in folder["bytes"].items()
        ]
    budget = report["budget"]
    told = budget["problem"]
    if not told:
        used, most, room = (budget[name] / 1e9 for name in ("used", "bytes", "room"))
        told = f"{used:.1f} of {most:g} GB used by pictures and features; {room:.1f} GB fit"
    rows.append(["cache", "budget", told])
    for plugin in report["plugins"]:
        state = "quarantined" if plugin["quarantined"] else "works, but"
        owner = f"{plugin['distribution']} {plugin['version']}"
        rows.append(["plugin", owner, f"{state}: {plugin['reason']}"])
    for plugin in report["disabled"]:
        owner = f"{plugin['distribution']} {plugin['version']}"
        rows.append(["plugin", owner, f"disabled by {plugin['by']}"])
    rows += [] if report["plugins"] else [["plugin", "", "no problem"]]
    console.table(["what", "which", "state"], rows)
