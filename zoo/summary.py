"""What a finished run says of itself: summary.json and the model's card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo import hot, runfolder
from zoo.plan import plan_to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.runfolder import RunFolder
    from zoo.training.assemble import Proof
    from zoo.training.session import Session


def build(
    session: Session, proof: Proof, scores: Mapping[str, Any], loaded: object
) -> dict[str, Any]:
    """As summary.json has it; rates in 0..1, times in seconds."""
    plan, classes = session.plan, session.dataset.classes
    chosen_on_val = any(
        phase["select"] == "best" or phase["stopped_early"] for phase in session.phases
    )
    return {
        "spec": plan.spec,
        "entry": plan.entry,
        "status": "finished",
        "headline": "test" if scores["test"] else ("val" if scores["val"] else None),
        **{
            split: None if found is None else found.to_json(classes)
            for split, found in scores.items()
        },
        "train": {
            "images": list(session.dataset.counts("train")),
            "mode": "+".join(phase["name"] for phase in session.phases),
            "phases": session.phases,
            "sweep": session.sweep or None,
            "val_used_to_choose": chosen_on_val,
            "views": plan.views,
            "kept_views": plan.kept_views,
            "frozen": session.frozen if len(plan.phases) == 1 and session.frozen else None,
            "frozen_in_probe": session.frozen or None,
            "folded": session.model.folds,
            "weights": str(loaded) if loaded else plan.weights.mode,
            "backbone_params": proof.backbone_params,
            "head_params": proof.head_params,
            "loss_params": proof.loss_params,
            "left_out": list(proof.unused),
        },
        "classes": list(classes),
        "data": session.dataset.notes(),
        "seconds": session.seconds(),
        "device": dict(plan.device),
    }


def save_model(folder: RunFolder, session: Session, proof: Proof) -> None:
    """Write the finished model with all that prediction needs beside it."""
    plan = session.plan
    preprocess = plan_to_json(plan)["preprocess"]
    card = {
        "schema": 1,
        "spec": plan.spec,
        "classes": list(session.dataset.classes),
        "preprocess": preprocess,
        "views": plan.views,
        "features": proof.features,
        "device": session.device.torch.type,
        "precision": session.device.precision,
        "channels_last": session.device.channels_last,
        "folded": session.model.folds,
        "layout": plan.backbone.component.facts.layout,
        **{
            chosen.kind: {
                "name": chosen.full_name,
                "plugin": chosen.plugin,
                "version": chosen.version,
                "options": dict(chosen.options),
            }
            for chosen in plan.trio[:2]
        },
        "split": runfolder.SPLIT,
    }
    hot.room("predictor").save_model(folder.place / runfolder.MODEL, session.model, card)
