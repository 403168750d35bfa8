"""Changes into the run folder, to write its files there, and stays."""

import os
from pathlib import Path

import zoo


@zoo.hookimpl
def zoo_run_start(event):
    os.chdir(event.folder)


@zoo.hookimpl
def zoo_epoch_end(event):
    Path("moves_house.txt").write_text(str(event.record))
