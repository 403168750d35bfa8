"""An observer as it should be: it reads the events, and copes with a run that failed."""

import logging

import zoo

LOG = logging.getLogger(__name__)


@zoo.hookimpl
def zoo_run_start(event):
    LOG.info("%s: %s", event.folder.name, sorted(event.plan))


@zoo.hookimpl
def zoo_epoch_end(event):
    LOG.info("%s: %s", event.folder.name, dict(event.record))


@zoo.hookimpl
def zoo_run_end(event):
    figures = event.summary or {}
    LOG.info("%s: %s %s", event.folder.name, event.status, figures.get("val"))
