"""What a model on the hub is, read from its two JSON files: no torch, no transformers.

The plan keeps both files' contents as options, so a resumed run and a finished model need no hub,
and a model that changes there changes no run that was planned before. With the configuration goes
the commit that it is of, where the hub tells it: all other files are those of that commit.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zoo
from zoo_hf import CURATED
from zoo_hf.families import COMMIT, LAYOUTS, vision
from zoo_hf.processors import preprocess

if TYPE_CHECKING:
    from collections.abc import Mapping

    Json = dict[str, Any]

CONFIG, PROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
#: what decides nothing of a backbone, and may be long
_WORDS = ("id2label", "label2id", "architectures", "transformers_version", "torch_dtype", "dtype")
TAG = "hub"


def specify(component: zoo.Component, options: Mapping[str, object]) -> zoo.Component:
    """The backbone with the model's weights, preprocessing and facts; see `zoo.Component.specify`.

    Raises:
        ValueError: no model is named, or it is none that classifies images.
        zoo.ZooError: its files cannot be fetched.
    """
    usual, _, _ = CURATED.get(component.name, ("", "", ""))
    model = str(options.get("model") or usual)
    if not model:
        message = "name a model: --set backbone.model=ORG/NAME, or a folder that has one"
        raise ValueError(message)
    folder = _folder(model)
    config = _json(options.get("config")) or _looked_up(model, folder, CONFIG)
    name, _, revision = model.partition("@")
    pinned = f"{name}@{config.get(COMMIT) or revision}".removesuffix("@")
    processor = _json(options.get("processor")) or _looked_up(pinned, folder, PROCESSOR)
    family = vision(config)
    recipe, input_size = preprocess(processor, family)
    source = f"file:{folder / WEIGHTS}" if folder else f"hf-hub:{pinned}"
    licences = {listed: licence for listed, licence, _ in CURATED.values()}
    kept = {
        "model": model,
        "config": json.dumps(config, sort_keys=True),
        "processor": json.dumps(processor, sort_keys=True),
    }
    named = {key: replace(option, default=kept[key]) for key, option in component.options.items()}
    weights = zoo.Weights(
        tag=TAG,
        default=True,
        preprocess=recipe,
        source=source,
        licence=licences.get(name, ""),
    )
    facts = zoo.Facts(input_size=input_size, layout=LAYOUTS.get(family["model_type"], "token"))
    return replace(component, options=named, weights=(weights,), facts=facts)


def _folder(model: str) -> Path | None:
    """The folder that a model names; None for one on the hub."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if model.startswith((".", "/", "~")):
        message = f"{model} is no folder"
        raise ValueError(message)
    if model.count("/") != 1 or not all(model.partition("@")[0].split("/")):
        message = f"{model!r} is neither ORG/NAME of a model on the hub nor a folder"
        raise ValueError(message)
    return None


def _json(text: object) -> Json:
    return json.loads(text) if isinstance(text, str) else {}


def _looked_up(model: str, folder: Path | None, name: str) -> Json:
    """A JSON file of the model, less what decides nothing; of the hub with its commit."""
    source = f"hf-hub:{model}/{name}"
    if folder:
        file = folder / name
        if not file.is_file():
            message = f"{folder} has no {name}: is it a folder that save_pretrained wrote?"
            raise ValueError(message)
    else:
        file = zoo.fetch_file(source, what=f"The files of {model}")
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        message = f"{name} of {model} is no JSON: {error}"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        message = f"{name} of {model} holds no JSON object"
        raise ValueError(message)  # noqa: TRY004 - a file's fault, not a caller's
    kept = {key: value for key, value in found.items() if key not in (*_WORDS, COMMIT)}
    commit = "" if folder or name != CONFIG else zoo.fetched_commit(source)
    return {**kept, COMMIT: commit} if commit else kept
