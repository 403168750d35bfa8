"""Its recipe gives a loss that needs view_logits a head that has none."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="logits_only",
        target="impossible_trio.hot:build",
        needs=("features",),
        provides=("logits",),
    )


@zoo.hookimpl
def zoo_entries():
    yield "impossible_trio:recipes.toml"
