"""Its stochastic depth forgets to ask for self.training."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="stochastic_eval",
        target="stochastic_eval_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=808, features=8, input_size=(32, 32), layout="conv"),
    )
