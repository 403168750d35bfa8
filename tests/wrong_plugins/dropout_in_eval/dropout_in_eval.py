"""F.dropout without training=self.training."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="dropout_in_eval",
        target="dropout_in_eval_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
