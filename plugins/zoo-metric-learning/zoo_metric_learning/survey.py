"""Writes catalog.json: the losses that fit, with the options that the library's signatures have.

::

    python -m zoo_metric_learning.survey
"""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_metric_learning.wrapped import losses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    import zoo

CATALOG = Path(__file__).with_name("catalog.json")
Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A loss of the library that fits zoo's contract, and what its signature does not tell.

    Args:
        theirs: the library's class's name.
        summary: one line.
        of: what it takes from the head.
        mined: whether a miner can choose its pairs.
        coupled: whether a sample's part depends on the rest of the batch.
        bounds: option → (minimum, maximum); None for no end.
        left: parameters that are not offered, because a run decides them or they take no plain
            value.
    """

    theirs: str
    summary: str
    of: str = "embeddings"
    mined: bool = True
    coupled: bool = True
    bounds: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    left: tuple[str, ...] = ()


#: modules of the classes that all losses share, whose parameters are objects of the library
_BASES = (
    ".base_metric_loss_function",
    ".generic_pair_loss",
    ".mixins",
    ".module_with_records",
    ".module_with_records_and_reducer",
)
_POSITIVE = (1e-3, 1e3)
_SIDE = (0.0, 2.0)  # cosine distances lie within
_SIZE = ("num_classes", "embedding_size")
CHOSEN = {
    "angular": Chosen(
        theirs="AngularLoss", summary="Bounds the angle at the negative of each triplet.",
        bounds={"alpha": (1, 89)},
    ),
    "circle": Chosen(
        theirs="CircleLoss", summary="Weights each similarity by how far it is from its optimum.",
        bounds={"m": (0.0, 1.0), "gamma": _POSITIVE},
    ),
    "contrastive": Chosen(
        theirs="ContrastiveLoss", summary="Positive pairs near, negative pairs beyond a margin.",
        bounds={"pos_margin": _SIDE, "neg_margin": _SIDE},
    ),
    "fast_ap": Chosen(
        theirs="FastAPLoss", summary="Average precision of a histogram of distances.",
        mined=False, bounds={"num_bins": (2, 1000)},
    ),
    "lifted_structure": Chosen(
        theirs="GeneralizedLiftedStructureLoss", summary="All positives against all negatives.",
        bounds={"neg_margin": _SIDE, "pos_margin": _SIDE},
    ),
    "margin": Chosen(
        theirs="MarginLoss", summary="A learnable boundary between positive and negative pairs.",
        bounds={"margin": _SIDE, "nu": (0.0, 1e3), "beta": (0.0, 10.0)},
        left=("triplets_per_anchor", "num_classes"),
    ),
    "multi_similarity": Chosen(
        theirs="MultiSimilarityLoss", summary="Weights pairs by their similarities to others.",
        bounds={"alpha": _POSITIVE, "beta": _POSITIVE, "base": (-1.0, 1.0)},
    ),
    "nca": Chosen(
        theirs="NCALoss", summary="Neighbourhood components analysis.",
        bounds={"softmax_scale": (1e-3, 10.0)},
    ),
    "ntxent": Chosen(
        theirs="NTXentLoss", summary="SimCLR's normalised, temperature-scaled cross-entropy.",
        bounds={"temperature": (0.01, 10.0)},
    ),
    "snr_contrastive": Chosen(
        theirs="SignalToNoiseRatioContrastiveLoss",
        summary="Contrastive loss on the signal-to-noise ratio of embeddings.",
        bounds={"pos_margin": _SIDE, "neg_margin": _SIDE},
    ),
    "supcon": Chosen(
        theirs="SupConLoss", summary="Supervised contrastive learning.",
        bounds={"temperature": (0.01, 10.0)},
    ),
    "triplet": Chosen(
        theirs="TripletMarginLoss", summary="An anchor nearer to its positive by a margin.",
        bounds={"margin": _SIDE}, left=("triplets_per_anchor",),
    ),
    "tuplet_margin": Chosen(
        theirs="TupletMarginLoss", summary="One positive against all negatives, by angles.",
        bounds={"margin": (0.0, 90.0), "scale": _POSITIVE},
    ),
    "arcface": Chosen(
        theirs="ArcFaceLoss", summary="An angular margin, in degrees, on the label's similarity.",
        of="similarities", coupled=False, left=_SIZE,
        bounds={"margin": (0.0, 90.0), "scale": (1.0, 1e3)},
    ),
    "cosface": Chosen(
        theirs="CosFaceLoss", summary="A margin on the cosine of the label's similarity.",
        of="similarities", coupled=False, left=_SIZE,
        bounds={"margin": (0.0, 2.0), "scale": (1.0, 1e3)},
    ),
    "normalized_softmax": Chosen(
        theirs="NormalizedSoftmaxLoss", summary="Cross-entropy of tempered similarities.",
        of="similarities", coupled=False, left=_SIZE, bounds={"temperature": (1e-3, 10.0)},
    ),
    "proxy_anchor": Chosen(
        theirs="ProxyAnchorLoss", summary="Each class's centre against all samples of the batch.",
        of="similarities", left=_SIZE, bounds={"margin": (0.0, 1.0), "alpha": (1.0, 1e3)},
    ),
    "proxy_nca": Chosen(
        theirs="ProxyNCALoss", summary="Neighbourhood components analysis against the centres.",
        of="similarities", coupled=False, left=_SIZE, bounds={"softmax_scale": (1e-3, 10.0)},
    ),
}  # fmt: skip


def signature(library: str) -> dict[str, bool | float]:
    """Parameter → default of a class and of those it hands its keywords to, in their order."""
    found: dict[str, bool | float] = {}
    for one in getattr(losses, library).__mro__:
        if one.__module__.endswith(_BASES):
            continue
        for name, parameter in inspect.signature(one.__init__).parameters.items():
            if name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                found.setdefault(name, parameter.default)
        if not any(
            parameter.kind is parameter.VAR_KEYWORD
            for parameter in inspect.signature(one.__init__).parameters.values()
        ):
            break
    return {name: default for name, default in found.items() if name != "args"}


def builder(
    module: str,
    of: str,
    name: str,
    make: Callable[..., nn.Module],
    own: Mapping[str, bool | float | str],
) -> Callable[..., nn.Module]:
    """The target of a loss: a function whose signature names its options and their defaults.

    Args:
        module: that is asked for it.
        of: the kind of loss that the module holds.
        name: of the loss.
        make: called with the name, the context and every option.
        own: options of ours beside those of the library, with their defaults.

    Raises:
        AttributeError: the module has no such loss.
    """
    chosen = CHOSEN.get(name)
    if chosen is None or chosen.of != of:
        message = f"module {module!r} has no attribute {name!r}"
        raise AttributeError(message)
    theirs = signature(chosen.theirs)
    defaults = {key: theirs[key] for key in theirs if key not in chosen.left} | {
        key: default for key, default in own.items() if key != "miner" or chosen.mined
    }

    def build(context: zoo.LossContext, **options: Any) -> nn.Module:  # noqa: ANN401 - as declared
        return make(name, context, **{**defaults, **options})

    parameters = [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    parameters += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default)
        for key, default in defaults.items()
    ]
    vars(build)["__signature__"] = inspect.Signature(parameters)
    return build


def option(name: str, default: bool | float, chosen: Chosen) -> Record:  # noqa: FBT001 - a default
    """One option, as `zoo.Option` takes it."""
    if isinstance(default, bool):
        return {"type": "bool", "default": default}
    low, high = chosen.bounds[name]
    if name == "num_bins":
        return {"type": "int", "default": default, "minimum": low, "maximum": high}
    return {"type": "float", "default": float(default), "minimum": low, "maximum": high}


def survey() -> list[Record]:
    """Every chosen loss, with its options."""
    return [
        {
            "name": name,
            "class": chosen.theirs,
            "summary": chosen.summary,
            "of": chosen.of,
            "mined": chosen.mined,
            "coupled": chosen.coupled,
            "options": {
                parameter: option(parameter, default, chosen)
                for parameter, default in signature(chosen.theirs).items()
                if parameter not in chosen.left
            },
        }
        for name, chosen in sorted(CHOSEN.items())
    ]


def main() -> None:
    """Write the catalog beside this file."""
    CATALOG.write_text(json.dumps({"losses": survey()}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
