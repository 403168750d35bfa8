"""Changes the process that it runs in, and is fine otherwise."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="meddles", target="meddles_hot:build", needs=("logits",))
