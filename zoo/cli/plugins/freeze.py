"""`zoo plugins freeze`: requirements that recreate the installed plugins, or those of a run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import click

from zoo import installer
from zoo.cli import console

#: what the help says to write the list into
_FILE = "plugins.txt"


@click.command("freeze")
@click.option(
    "--run",
    "path",
    type=click.Path(path_type=Path),
    help="The plugins that this run was made with.",
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(path: Path | None, *, as_json: bool) -> None:
    """Print requirements that recreate the set: zoo plugins freeze > plugins.txt."""
    found = _of_run(path) if path else _installed()
    if as_json:
        console.as_json(found)
        return
    console.result(f"# {installer.line(installer.in_use().install_file(_FILE))}")
    for line in found:
        console.result(line)


def _installed() -> list[str]:
    """zoo, and every plugin that is installed, quarantined or not."""
    from zoo.plugins.distributions import HOST, sources

    names = [HOST, *(source.distribution for source in sources())]
    return [requirement(metadata.distribution(name)) for name in names]


def _of_run(path: Path) -> list[str]:
    """zoo, the plugins of a run's parts, and the libraries that decide numbers."""
    from zoo import runfolder
    from zoo.plugins.distributions import HOST

    record = runfolder.find(path).read(runfolder.PLAN)
    versions = {HOST: record["zoo"], **record.get("packages", {})}
    return [f"{name}=={version}" for name, version in versions.items()]


def requirement(distribution: metadata.Distribution) -> str:
    """`name==version`; `name @ url` where it was installed from elsewhere (PEP 610)."""
    name, version = distribution.metadata["Name"], distribution.version
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin:
        return f"{name}=={version}"
    if origin.get("dir_info", {}).get("editable"):
        return f"-e {origin['url']}"
    version_control = origin.get("vcs_info", {})
    if version_control:
        return f"{name} @ {version_control['vcs']}+{origin['url']}@{version_control['commit_id']}"
    return f"{name} @ {origin['url']}"
