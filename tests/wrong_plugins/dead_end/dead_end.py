"""Is deprecated in favour of a component that nobody has."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="dead_end",
        target="dead_end_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
        deprecated=zoo.Deprecated(since="0.2", use="dead-end/dead_end_two"),
    )
