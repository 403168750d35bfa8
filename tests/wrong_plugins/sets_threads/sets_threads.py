"""Takes torch down to one thread, for the whole process."""

import zoo


@zoo.hookimpl
def zoo_backbones():
    yield zoo.Component(
        name="sets_threads",
        target="sets_threads_hot:build",
        provides=("features",),
        facts=zoo.Facts(params=232, features=8, input_size=(32, 32), layout="conv"),
    )
