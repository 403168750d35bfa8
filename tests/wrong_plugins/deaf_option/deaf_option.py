"""Takes its options by **options and misspells one: hidden changes nothing."""

import zoo


@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(
        name="deaf_option",
        target="deaf_option_hot:build",
        needs=("features",),
        provides=("logits", "view_logits"),
        options={
            "dropout": zoo.Option(type="float", default=0.0, minimum=0.0, maximum=0.9),
            "hidden": zoo.Option(type="int", default=32, minimum=1, maximum=4096),
        },
    )
