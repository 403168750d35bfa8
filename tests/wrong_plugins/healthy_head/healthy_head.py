"""A head as it should be: it draws in training alone, and keeps a running mean in its state dict."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="healthy_head",
        target="healthy_head_hot:build",
        needs=("features",),
        provides=("logits", "view_logits", "embeddings"),
        options={
            "width": zoo.Option(type="int", default=16, minimum=1, maximum=4096, help="E"),
            "noise": zoo.Option(type="float", default=0.0, minimum=0.0, maximum=10.0),
            "activation": zoo.Option(type="str", default="relu", choices=("relu", "tanh")),
        },
        aliases=("healthy_centred",),
    )
