"""Leaves a thread running that never ends, and is fine otherwise."""

import threading
import time

import zoo

threading.Thread(target=time.sleep, args=(600,)).start()


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="thread", target="thread_build:build", needs=("logits",))
