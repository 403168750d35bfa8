"""A loss as it should be: a temperature of its own, a prior by option, and a teacher by option."""

import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(
        name="healthy_loss",
        target="healthy_loss_hot:build",
        needs=zoo.ByOption(
            "extra", {"teacher": ("logits", "teacher_logits"), "pair": ("logits", "view_logits")}, ("logits",)
        ),
        views=zoo.ByOption("extra", {"pair": 2}, 1),
        batch_coupled=zoo.ByOption("extra", {"prior": True}, otherwise=False),
        weighted=True,
        options={
            "extra": zoo.Option(type="str", default="none", choices=("none", "teacher", "pair", "prior")),
        },
    )
