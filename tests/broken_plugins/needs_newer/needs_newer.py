"""Its loss needs a library newer than any."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="needs_newer", target="needs_newer_hot:build", needs=("logits",), requires=("pluggy>=99",))
