"""Imports a heavy library to be listed."""

import tensorflow as tf

import zoo

assert tf


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="slow", target="slow_build:build", needs=("logits",))
