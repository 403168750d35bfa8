"""Everything that decides a run, fully resolved and frozen, with the origin of each value.

`zoo.resolve` makes a plan; plan.json is a plan's JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.components import (
    KINDS,
    Component,
    Kind,
    Preprocess,
    Value,
    component_from_json,
    preprocess_from_json,
    to_json,
)
from zoo.errors import Mismatch
from zoo.phases import PhasePlan
from zoo.spec import Part, Spec

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Chosen:
    """A component as a plan holds it: what it is, whose it is, with which options.

    Args:
        kind: backbone, head or loss.
        namespace: of its plugin.
        plugin: its distribution.
        version: of the distribution.
        options: every option's value; None where the component decides.
        component: its description when the plan was made.
        rule: why this component is what the name meant.
    """

    kind: Kind
    namespace: str
    plugin: str
    version: str
    options: Mapping[str, Value | None]
    component: Component
    rule: str = ""

    @property
    def full_name(self) -> str:
        """`timm/resnet18`."""
        return f"{self.namespace}/{self.component.name}"

    @property
    def title(self) -> str:
        """For messages: `timm/resnet18 (zoo-timm 0.1.0)`."""
        return f"{self.full_name} ({self.plugin} {self.version})"

    def part(self, tag: str = "") -> Part:
        """As a canonical spec has it: qualified, with its tag and the options that differ."""
        written = tuple(
            (name, _spelt(value))
            for name, value in self.options.items()
            if value is not None and value != self.component.options[name].default
        )
        return Part(self.component.name, self.namespace, tag, written)


def _spelt(value: Value) -> str:
    """As a spec writes it: `true`, and `1e16`, since a `+` would begin the next component."""
    text = str(value)
    return text if isinstance(value, str) else text.lower().replace("+", "")


@dataclass(frozen=True, slots=True)
class WeightsChoice:
    """Which weights the backbone starts from.

    Args:
        mode: `tag`, `none` (random) or `file`.
        tag: of the component's weights; with `file`, whose preprocessing is used.
        source: where the tag's weights come from.
        sha256: whole or prefix; empty when unknown.
        file: the user's file.
    """

    mode: str
    tag: str = ""
    source: str = ""
    sha256: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class DataCounts:
    """What a plan needs to know of the data.

    Args:
        classes: names in class order.
        train: images of each class in the training part.
        val: images in the validation part.
        test: images in the test part; 0 without one.
    """

    classes: tuple[str, ...]
    train: tuple[int, ...]
    val: int
    test: int

    @property
    def images(self) -> int:
        """In the training part."""
        return sum(self.train)

    @property
    def imbalance(self) -> float:
        """The largest class over the smallest."""
        return max(self.train) / max(1, min(self.train))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """See the module. `phases`, `counts` and `device` are empty until the plan is settled."""

    spec: str
    entry: str
    backbone: Chosen
    head: Chosen
    loss: Chosen
    weights: WeightsChoice
    preprocess: Preprocess
    views: int
    extras: tuple[str, ...]
    teacher: str
    data: str
    settings: Mapping[str, Value | None]
    origins: Mapping[str, str]
    phases: tuple[PhasePlan, ...] = ()
    counts: DataCounts | None = None
    device: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trio(self) -> tuple[Chosen, Chosen, Chosen]:
        """In the order backbone, head, loss."""
        return self.backbone, self.head, self.loss

    @property
    def frozen(self) -> bool:
        """Whether the backbone stays as it was loaded in every phase."""
        return bool(self.phases) and all(phase.name == "probe" for phase in self.phases)

    @property
    def kept_views(self) -> int:
        """K, of how many views of each image a probe keeps the features."""
        if self.views == 1 or self.settings["augment"] == "off":
            return 1
        return max(self.views, int(self.settings["views.cached"] or 0))

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - a setting's own type
        """A setting's value; None where the engine decides."""
        return self.settings[name]


def canonical(plan: Plan) -> str:
    """The fully qualified spec that means this plan wherever the same plugins are installed."""
    backbone, head, loss = plan.trio
    return str(Spec(backbone.part(plan.weights.tag), head.part(), loss.part()))


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """As plan.json has it."""
    return {
        "schema": SCHEMA,
        "spec": plan.spec,
        "entry": plan.entry,
        **{one.kind: _chosen_to_json(one) for one in plan.trio},
        "weights": {key: getattr(plan.weights, key) for key in WeightsChoice.__slots__},
        "preprocess": {
            "size": list(plan.preprocess.size),
            "resize": list(plan.preprocess.resize),
            "crop": plan.preprocess.crop,
            "interpolation": plan.preprocess.interpolation,
            "mean": list(plan.preprocess.mean),
            "std": list(plan.preprocess.std),
        },
        "views": plan.views,
        "extras": list(plan.extras),
        "teacher": plan.teacher,
        "data": plan.data,
        "settings": {
            name: {"value": value, "origin": plan.origins.get(name, "default")}
            for name, value in plan.settings.items()
        },
        "option_origins": {
            name: origin for name, origin in plan.origins.items() if name not in plan.settings
        },
        "phases": [phase.to_json() for phase in plan.phases],
        "counts": None
        if plan.counts is None
        else {
            "classes": list(plan.counts.classes),
            "train": list(plan.counts.train),
            "val": plan.counts.val,
            "test": plan.counts.test,
        },
        "device": dict(plan.device),
    }


def _chosen_to_json(chosen: Chosen) -> dict[str, Any]:
    return {
        "name": chosen.full_name,
        "plugin": chosen.plugin,
        "version": chosen.version,
        "rule": chosen.rule,
        "options": dict(chosen.options),
        "component": to_json(chosen.component),
    }


def plan_from_json(record: Mapping[str, Any]) -> Plan:
    """The inverse of `plan_to_json`.

    Raises:
        Mismatch: the record is of another schema, or damaged.
    """
    if record.get("schema") != SCHEMA:
        raise Mismatch(
            f"plan.json has schema {record.get('schema')!r}; this zoo reads {SCHEMA}.",
            hint="Use the version of zoo that wrote it.",
        )
    try:
        trio = {kind: _chosen_from_json(kind, record[kind]) for kind in KINDS}
        settings, counts = record["settings"], record["counts"]
        _texts(
            record.get("observe", [])
        )  # no part of the plan, but of the file, as is what follows
        if "repeats" in record:
            _text(record["repeats"]["run"])
            _texts(record["repeats"]["drift"])
        return Plan(
            spec=_text(record["spec"]),
            entry=_text(record["entry"]),
            **trio,
            weights=WeightsChoice(**record["weights"]),
            preprocess=preprocess_from_json(record["preprocess"]),
            views=record["views"],
            extras=tuple(record["extras"]),
            teacher=_text(record["teacher"]),
            data=_text(record["data"]),
            settings={name: one["value"] for name, one in settings.items()},
            origins={
                **{
                    name: _text(one["origin"])
                    for name, one in settings.items()
                    if one["origin"] != "default"
                },
                **{name: _text(one) for name, one in record["option_origins"].items()},
            },
            phases=tuple(PhasePlan.from_json(phase) for phase in record["phases"]),
            counts=None
            if counts is None
            else DataCounts(
                tuple(counts["classes"]), tuple(counts["train"]), counts["val"], counts["test"]
            ),
            device=record["device"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"plan.json is damaged: {type(error).__name__} {error}."
        raise Mismatch(message, hint="Restore the file, or start a new run.") from error


def _chosen_from_json(kind: Kind, record: Mapping[str, Any]) -> Chosen:
    component = component_from_json(record["component"])
    namespace = record["name"].partition("/")[0]
    return Chosen(
        kind,
        namespace,
        _text(record["plugin"]),
        _text(record["version"]),
        dict(record["options"]),
        component,
        _text(record["rule"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        message = f"{value!r:.60} is no text"
        raise TypeError(message)
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        message = f"{value!r:.60} is no list of texts"
        raise TypeError(message)
    return tuple(_text(one) for one in value)
