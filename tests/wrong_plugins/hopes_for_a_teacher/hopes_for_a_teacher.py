"""Distils where it is given teacher_logits, and never asks for them."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="hopes_for_a_teacher",
        target="hopes_for_a_teacher_hot:build",
        needs=("logits",),
        weighted=True,
    )
