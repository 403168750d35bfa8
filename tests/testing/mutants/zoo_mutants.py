"""Components of zoo's own, each with one line of the contract changed; `control_*` with none.

A mutant is called `CHECK__WHAT`, after the check that must catch it. Its code is the function of
its name in the module of its kind, such as `zoo_mutants_head`; what of its description differs
stands in `CHANGES`.
"""

from __future__ import annotations

import zoo

DROPOUT = zoo.Option(type="float", default=0.0, minimum=0.0, maximum=0.9, help="share")
BASES = {
    "head": {
        "options": {"dropout": DROPOUT},
        "needs": ("features",),
        "provides": ("logits", "view_logits"),
    },
    "loss": {
        "options": {"smoothing": zoo.Option(type="float", default=0.0, minimum=0.0, maximum=0.9)},
        "needs": ("logits",),
        "weighted": True,
    },
    # the net of `zoo.testing`
    "backbone": {
        "provides": ("features",),
        "facts": zoo.Facts(params=392, features=8, input_size=(32, 32), layout="conv"),
    },
}
CATALOG = "package:zoo_losses/ce.py"
CHANGES = {
    "head": {
        "control": {},
        "target__missing": {"target": "zoo_mutants_head:nowhere"},
        "signature__other_default": {},
        "signature__undeclared_keyword": {},
        "signature__undeclared_need": {},
        "unknown_option__swallowed": {},
        "builds__edge_fails": {},
        "option_effect__deaf": {},
        "meta__looks_at_a_number": {},
        "ports__drops_one": {},
        "ports__hidden_one": {"provides": ("logits",)},
        "ports__float64": {},
        "ports__views_first": {},
        "ports__bare_tensor": {},
        "context__two_classes": {},
        "fresh__one_for_all": {},
        "fresh__class_attribute": {},
        "seed__numpy": {},
        "state_dict__plain_attribute": {},
        "state_dict__counter": {},
        "state_dict__plain_list": {},
        "modes__dropout_in_eval": {},
        "modes__deaf_to_eval": {},
        "modes__counts_in_eval": {},
        "gradients__cut": {},
        "gradients__nan": {},
        "gradients__none_to_features": {},
        "steps__keeps_the_graph": {},
        "batch_of_one__batch_norm": {},
        "autocast__dtype": {},
        "in_place__clamps": {},
        "global_state__seeds": {},
        "global_state__threads": {},
        "global_state__patches_torch": {},
        "global_state__warnings": {},
        "no_reach__writes_a_file": {},
        "no_reach__network": {},
        "device__made_on_cpu": {},
        "no_wait__item": {},
        "elsewhere__process": {},
        "gradients__first_view": {},
        "global_state__fast_path": {},
        "global_state__flash": {},
        "independence__centres": {},
        "logits__softmax": {},
        "convex__relu": {"convex": True},
    },
    "loss": {
        "control": {"convex": True},
        "ports__vector": {},
        "ports__names_vary": {},
        "needs__undeclared": {},
        "needs__unread": {"needs": ("logits", "view_logits")},
        "needs__if_there": {},
        "context__three_classes": {},
        "targets__indices_only": {},
        "weights__deaf": {},
        "weights__divides": {},
        "samples__sums": {},
        "samples__coupled": {},
        "samples__ordered": {"batch_coupled": True},
        "total__accuracy": {},
        "total__twice": {},
        "extremes__log_of_softmax": {},
        "extremes__hides_nan": {},
        "convex__wave": {"convex": True},
        "steps__memory": {},
        "graphs__kept": {},
        "graphs__queue": {},
        "weights__deaf_to_shares": {},
        "samples__coupled_shares": {},
        "samples__coupled_later": {},
        "state_dict__loose_parameter": {},
        "in_place__cools": {},
    },
    "backbone": {
        "control": {},
        "facts__params": {"facts": zoo.Facts(params=393, input_size=(32, 32))},
        "facts__layout": {"facts": zoo.Facts(layout="token", input_size=(32, 32))},
        "ports__width": {"facts": zoo.Facts(features=7, input_size=(32, 32))},
        "ports__map": {"facts": zoo.Facts(input_size=(32, 32))},
        "memory_format__view": {"facts": zoo.Facts(input_size=(32, 32))},
        "image_size__grows": {"facts": zoo.Facts(input_size=(32, 32))},
        "unspoilt__constant": {},
        "option_effect__kept": {
            "options": {"width": zoo.Option(type="int", default=8, minimum=1, maximum=64)}
        },
        "weights_file__ignored": {},
        "weights_errors__not_strict": {},
        "published__other_hash": {
            "weights": (
                zoo.Weights(
                    tag="w",
                    default=True,
                    source=CATALOG,
                    sha256="0" * 64,
                    preprocess=zoo.Preprocess(size=(32, 32), resize=(32, 32)),
                ),
            )
        },
    },
}


def _components(kind):
    for name, changes in CHANGES[kind].items():
        full = f"{kind}_{name}" if name == "control" else name
        given = {**BASES[kind], "target": f"zoo_mutants_{kind}:{kind}_{name}", **changes}
        yield zoo.Component(name=full, **given)


@zoo.hookimpl
def zoo_heads():
    yield from _components("head")


@zoo.hookimpl
def zoo_losses():
    yield from _components("loss")


@zoo.hookimpl
def zoo_backbones():
    yield from _components("backbone")
