"""A loss as it should be: a term that begins in the second epoch and ramps up from there."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="healthy_ramp",
        target="healthy_ramp_hot:build",
        needs=("logits", "view_logits"),
        views=2,
        weighted=True,
        options={
            "weight": zoo.Option(type="float", default=1.0, minimum=0.0, maximum=10.0),
            "epochs": zoo.Option(type="int", default=10, minimum=1, maximum=1000),
        },
    )
