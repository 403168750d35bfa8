"""torchvision's classification backbones, read from a list that ships with this package.

`catalog.json` holds what `zoo_torchvision.survey` found by building every model of one torchvision
release. Under another release the names and weights tags are asked of that release, in a child
process, and what is known of a name is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import zoo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Record = dict[str, Any]

#: the options that some models take; `takes` in the catalog says which of them a model does
OPTIONS = {
    "img_size": zoo.Option(
        type="int",
        minimum=32,
        maximum=4096,
        help="side of the square input, pixels; the model's own if not given",
    ),
}


@zoo.hookimpl
def zoo_backbones() -> Iterator[zoo.Component]:
    """Every classification builder, whichever torchvision is installed."""
    shipped = json.loads(files(__name__).joinpath("catalog.json").read_text("utf-8"))
    records = shipped["models"]
    if version("torchvision").partition("+")[0] != shipped["torchvision"]:  # +cpu, +cu132
        records = merged(live(), records)
    yield from map(component, records)


def component(record: Mapping[str, Any]) -> zoo.Component:
    """One line of the catalog, with what all lines share."""
    parts = {key: value for key, value in record.items() if key != "takes"}
    parts |= {"target": f"{__name__}.build:{record['name']}", "provides": ["features"]}
    options = {name: OPTIONS[name] for name in record.get("takes", ())}
    return replace(zoo.component_from_json(parts), options=options)


def merged(live: list[Record], shipped: list[Record]) -> list[Record]:
    """The live release's names and tags, with what building told about the names known before."""
    known = {record["name"]: _built(record) for record in shipped}
    return [record | known.get(record["name"], {}) for record in live]


def _built(record: Record) -> Record:
    """The part of a line of the catalog that only building tells."""
    return {key: record[key] for key in ("facts", "takes") if key in record}


def live() -> list[Record]:
    """Names and tags of the installed torchvision, told by a process of its own."""
    command = [sys.executable, "-m", f"{__name__}.survey", "--quick"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - our own module
    records: list[Record] = json.loads(told.stdout)
    return records
