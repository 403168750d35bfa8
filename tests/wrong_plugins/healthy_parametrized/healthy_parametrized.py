"""A head as it should be: spectral and weight normalisation by parametrisations, which do not pickle."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="healthy_parametrized",
        target="healthy_parametrized_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
    )
