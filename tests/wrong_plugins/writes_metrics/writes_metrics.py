"""Adds lines of its own to metrics.jsonl."""

import json
import time

import zoo


@zoo.hookimpl
def zoo_epoch_end(event):
    with (event.folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"observer": __name__, "clock": time.time()}) + "\n")
