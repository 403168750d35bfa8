"""Uses lists where tuples belong, so that it does not survive JSON."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="lists", target="lists_build:build", needs=["features"], provides=["logits"]
    )
