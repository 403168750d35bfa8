"""Takes class indices and no distributions."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="indices_only",
        target="indices_only_hot:build",
        needs=("logits",),
        weighted=True,
    )
