"""Its recipe names its own head without the namespace."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="bare_head",
        target="bare_entry.hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )


@zoo.hookimpl
def zoo_entries():
    yield "bare_entry:recipes.toml"
