"""Options as they should be, one of each type, each at its edges too; the target takes just these."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="healthy_options",
        target="healthy_options_hot:Head",
        needs=("features",),
        provides=("logits",),
        options={
            "bias": zoo.Option(type="bool", default=True, help="whether the last layer has a bias"),
            "layers": zoo.Option(type="int", default=0, minimum=0, maximum=3, help="hidden layers"),
            "scale": zoo.Option(type="float", default=1.0, minimum=0.1, help="factor of the logits"),
            "pool": zoo.Option(type="str", default="mean", choices=("mean", "max"), help="over views"),
            "hidden": zoo.Option(type="int", minimum=1, help="width; the features' own if not given"),
        },
        deprecated=zoo.Deprecated(since="0.3", use="healthy-options/healthy_pooled"),
    )
    yield zoo.Component(
        name="healthy_pooled",
        target="healthy_options_hot:pooled",
        needs=("features",),
        provides=("logits",),
    )
