"""What a plugin offers, as plain data: components, their options, weights and facts.

Everything here is frozen, compares by value and survives a JSON round trip; nothing here imports
torch. A plugin's hooks yield `Component`s; the host adds what only it may say (kind, namespace,
distribution, version) when it takes them into the catalog.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Generic, Literal, TypeVar, cast

Kind = Literal["backbone", "head", "loss"]
KINDS: tuple[Kind, ...] = ("backbone", "head", "loss")
Value = bool | int | float | str
T = TypeVar("T")

NAME = re.compile(r"[a-z][a-z0-9_]*")
TAG = re.compile(r"[A-Za-z0-9_]+")
TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")

#: what a backbone may give, a head may need
FEATURE_PORTS = ("features", "feature_map", "tokens")
#: what a head may give, a loss may need
OUTPUT_PORTS = ("logits", "view_logits", "embeddings", "similarities")
#: what the engine may compute for a loss beside the target
EXTRA_PORTS = ("teacher_logits",)

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"]
Crop = Literal["center", "squash", "border"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """How an image becomes a backbone's input: resize, crop, scale to 0..1, normalise.

    Args:
        size: (height, width) of what the network sees, pixels.
        resize: (height, width) before the crop, pixels. With `crop="center"` the image is scaled,
            keeping its aspect, until it covers this box; with `"squash"` it is scaled to exactly
            this box; with `"border"` until it fits into it, the rest being filled with the mean.
        crop: see `resize`.
        interpolation: Pillow's resampling filter of that name.
        mean: per channel (R, G, B), of values in 0..1.
        std: likewise.
    """

    size: tuple[int, int] = (224, 224)
    resize: tuple[int, int] = (256, 256)
    crop: Crop = "center"
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def resized(self, size: int) -> Preprocess:
        """The same recipe for a square input of `size` pixels, keeping the crop's share."""
        ratio = (self.resize[0] / self.size[0], self.resize[1] / self.size[1])
        return Preprocess(
            size=(size, size),
            resize=(math.floor(size * ratio[0] + 0.5), math.floor(size * ratio[1] + 0.5)),
            crop=self.crop,
            interpolation=self.interpolation,
            mean=self.mean,
            std=self.std,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """One set of pretrained weights of one backbone.

    Args:
        tag: unique within the component, `[A-Za-z0-9_]+`.
        default: exactly one of a component's tags is the default (if it has tags at all).
        preprocess: what these weights expect; it belongs to the tag, not to the architecture.
        source: `https://...`, `hf-hub:ORG/NAME[@REVISION][/FILE]`, `package:MODULE/PATH` for a file
            inside an installed package, or `file:PATH` (of a specified backbone only). Empty when
            the weights cannot be fetched (then only `--weights FILE` brings them).
        sha256: of the file, whole or a prefix of at least 8 hex digits; empty when unknown.
        licence: SPDX identifier or the publisher's words; empty when unknown.
        classes: how many classes the published classifier has; 0 when it has none or unknown.
        top1: ImageNet-1k top-1 accuracy in percent where the library itself states it.
    """

    tag: str
    default: bool = False
    preprocess: Preprocess = field(default_factory=Preprocess)
    source: str = ""
    sha256: str = ""
    licence: str = ""
    classes: int = 0
    top1: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a backbone without building it.

    Args:
        params: number of parameters as built, without a classifier.
        features: D, the width of the features `[N, D]`.
        input_size: (height, width) of the default input, pixels.
        layout: `"conv"` where convolutions profit from channels-last memory, `"token"` where not.
    """

    params: int | None = None
    features: int | None = None
    input_size: tuple[int, int] | None = None
    layout: Literal["conv", "token", ""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a component, or one setting of a run.

    Args:
        type: the Python type of its values.
        default: its value when nobody names it; None means that the engine decides.
        choices: the only legal values; empty when any value of the type will do.
        minimum: the least legal number (inclusive).
        maximum: the greatest legal number (inclusive).
        help: one line, with the unit where there is one.
    """

    type: Literal["bool", "int", "float", "str"]
    default: Value | None = None
    choices: tuple[Value, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class ByOption(Generic[T]):
    """A fact that depends on one option: `ByOption("target", {"view": 2}, 1)`.

    Args:
        option: the option's name; its `choices` bound the keys.
        table: what holds for which value of the option.
        otherwise: what holds for every other value.
    """

    option: str
    table: Mapping[str, T]
    otherwise: T

    def at(self, options: Mapping[str, Value | None]) -> T:
        """What holds under these option values."""
        return self.table.get(str(options.get(self.option)), self.otherwise)


def at(fact: T | ByOption[T], options: Mapping[str, Value | None]) -> T:
    """The value of a fact, fixed or by option, under these option values."""
    return cast("ByOption[T]", fact).at(options) if isinstance(fact, ByOption) else fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecated:
    """Marks a component that will go.

    Args:
        since: version of the plugin from which on it is marked.
        use: name of the component to use instead; empty where there is none.
    """

    since: str
    use: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A backbone, a head or a loss, described by data and built by a lazy target.

    Args:
        name: bare name, `[a-z][a-z0-9_]*`; the host puts the namespace before it.
        target: `"module:attribute"`, imported only when the component is used. Called as
            `build(weights, **options)` for a backbone, `build(context, **options)` for a head or a
            loss.
        summary: one line.
        options: name → `Option`; the target takes exactly these as keywords.
        provides: ports that it gives (`features` for a backbone; some of `logits`, `view_logits`,
            `embeddings`, `similarities` for a head).
        needs: ports that it takes (`features` for a head; some of a head's for a loss, and
            `teacher_logits` when the engine shall compute them).
        views: how many views of an image a head or a loss wants in training.
        batch_coupled: a loss whose value for a sample depends on the other samples of the batch.
        weighted: a loss that honours `batch.weight` (so that `balance=weights` reaches it).
        convex: a head whose outputs are affine in its parameters, or a loss that is convex in a
            head's outputs and a mean over samples; neither draws at random. A head and a loss that
            both say so train to one optimum, which a probe of one view may solve for.
        weights: pretrained weights of a backbone, by tag.
        facts: what is known without building.
        specify: `"module:attribute"` of a backbone whose weights, preprocessing and facts depend on
            its options, as on the name of a model on a hub; empty where they do not. Called as
            `specify(component, options)` when a run is planned, and again when it is resumed, it
            returns the component with these filled in, and with what it had to look up as defaults
            of further options: given these, it must return the same and look nothing up. A
            ValueError of its is told to the user in its words. Its module must not import torch.
        requires: PEP 508 requirements of the target beyond the plugin's own.
        aliases: other bare names for it.
        deprecated: set when it will go.
    """

    name: str
    target: str
    summary: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    provides: tuple[str, ...] = ()
    needs: tuple[str, ...] | ByOption[tuple[str, ...]] = ()
    views: int | ByOption[int] = 1
    batch_coupled: bool | ByOption[bool] = False
    weighted: bool = False
    convex: bool | ByOption[bool] = False
    weights: tuple[Weights, ...] = ()
    facts: Facts = field(default_factory=Facts)
    specify: str = ""
    requires: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    deprecated: Deprecated | None = None

    def default_weights(self) -> Weights | None:
        """The default tag's weights; None for a component without weights."""
        return next((weights for weights in self.weights if weights.default), None)

    def tagged(self, tag: str) -> Weights | None:
        """The weights of that tag; None when it has no such tag."""
        return next((weights for weights in self.weights if weights.tag == tag), None)


def to_json(value: object) -> Any:  # noqa: ANN401 - JSON is what it is
    """A component, or any part of one, as JSON types; what equals its default is left out.

    Args:
        value: a component, a part of one, or a mapping, tuple or list of these.

    Returns:
        Dicts, lists, texts, numbers, truth values and None.
    """
    if isinstance(value, ByOption):
        return {
            "by_option": value.option,
            "table": {key: to_json(item) for key, item in value.table.items()},
            "otherwise": to_json(value.otherwise),
        }
    if isinstance(value, (Component, Weights, Preprocess, Facts, Option, Deprecated)):
        record = {}
        for part in fields(value):
            item = getattr(value, part.name)
            default = (
                part.default_factory() if callable(part.default_factory) else part.default  # type: ignore[arg-type]
            )
            if item != default:
                record[part.name] = to_json(item)
        return record
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value


def _tuples(value: object) -> Any:  # noqa: ANN401 - JSON is what it is
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _fact(value: object) -> Any:  # noqa: ANN401 - JSON is what it is
    if isinstance(value, Mapping) and "by_option" in value:
        table = {str(key): _tuples(item) for key, item in value["table"].items()}
        return ByOption(str(value["by_option"]), table, _tuples(value["otherwise"]))
    return _tuples(value)


def preprocess_from_json(record: Mapping[str, Any]) -> Preprocess:
    """The inverse of `to_json` for a `Preprocess`."""
    return Preprocess(**{key: _tuples(value) for key, value in record.items()})


def weights_from_json(record: Mapping[str, Any]) -> Weights:
    """The inverse of `to_json` for `Weights`."""
    parts = {key: _tuples(value) for key, value in record.items() if key != "preprocess"}
    if "preprocess" in record:
        parts["preprocess"] = preprocess_from_json(record["preprocess"])
    return Weights(**parts)


def component_from_json(record: Mapping[str, Any]) -> Component:
    """The inverse of `to_json` for a `Component`.

    Args:
        record: as JSON gives it back.

    Returns:
        The component.

    Raises:
        TypeError: the record has a key that no component has, or lacks a needed one.
    """
    nested = ("options", "weights", "facts", "deprecated")
    parts = {key: _fact(value) for key, value in record.items() if key not in nested}
    if "options" in record:
        parts["options"] = {
            name: Option(**{key: _tuples(value) for key, value in option.items()})
            for name, option in record["options"].items()
        }
    if "weights" in record:
        parts["weights"] = tuple(weights_from_json(item) for item in record["weights"])
    if "facts" in record:
        parts["facts"] = Facts(**{key: _tuples(value) for key, value in record["facts"].items()})
    if record.get("deprecated"):
        parts["deprecated"] = Deprecated(**record["deprecated"])
    return Component(**parts)
