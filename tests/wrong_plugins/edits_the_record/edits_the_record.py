"""Rounds the numbers of the epoch's own record, to print them."""

import logging

import zoo

LOG = logging.getLogger(__name__)


@zoo.hookimpl
def zoo_epoch_end(event):
    for key, value in event.record.items():
        if isinstance(value, float):
            event.record[key] = round(value, 2)
    LOG.info("%s", event.record)
