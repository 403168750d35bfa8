"""Its least number of layers, 0, is one that it cannot build."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="minimum_fails",
        target="minimum_fails_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
        options={"layers": zoo.Option(type="int", default=1, minimum=0, maximum=3)},
    )
