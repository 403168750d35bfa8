"""Gives a loss of each sample."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="vector_loss", target="vector_loss_hot:build", needs=("logits",))
