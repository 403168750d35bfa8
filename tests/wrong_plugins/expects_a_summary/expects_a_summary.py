"""Reads the summary of a run that may have failed."""

import logging

import zoo

LOG = logging.getLogger(__name__)


@zoo.hookimpl
def zoo_run_end(event):
    LOG.info("%s: %s", event.folder.name, event.summary["val"]["top1"])
