"""A component ready to be tried: how it is built, fed and called, by kind.

N samples, V views, D feature width, C classes, E embedding width: all different, so that swapped
axes show.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from zoo.components import FEATURE_PORTS, OUTPUT_PORTS, Component, Kind, Value, at
from zoo.contracts import Batch, HeadContext, HeadOutput, LossContext
from zoo.index import Listed, load_target
from zoo.specify import specified
from zoo.testing.outcomes import Fault
from zoo.testing.planned import edges

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

N, C, D, E = 5, 3, 8, 6
#: an epoch by which whatever ramps up has begun
LATE = 50
Outputs = dict[str, Tensor]


@dataclass
class Rig:
    """One component under some values of its options.

    Args:
        listed: the component and its owner.
        given: option values that are not the defaults.
        context: sizes that are not the usual ones.
        declared: as the plugin lists it, where its options specify it further.
        specifying: those options, where they are not the defaults.
    """

    listed: Listed
    given: Mapping[str, Value] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    prototypes: dict[int, nn.Module] = field(default_factory=dict)
    declared: Component | None = None
    specifying: Mapping[str, Value] = field(default_factory=dict)

    kind: ClassVar[Kind]

    @property
    def component(self) -> Component:
        """What the plugin says of it."""
        return self.listed.component

    @property
    def title(self) -> str:
        """Which values of options are meant, to be put before a complaint."""
        told = ", ".join(f"{key}={value}" for key, value in self.given.items())
        return f"with {told}: " if told else ""

    @property
    def options(self) -> dict[str, Value]:
        """Keywords of the target, as the host gives them: what is None is left out."""
        values = {name: option.default for name, option in self.component.options.items()}
        return {
            name: value for name, value in (values | dict(self.given)).items() if value is not None
        }

    def fact(self, name: str) -> Any:  # noqa: ANN401 - facts are of any type
        """A fact, fixed or by option, under these options."""
        return at(getattr(self.component, name), self.options)

    def under(self, given: Mapping[str, Value] | None = None, **context: Any) -> Self:  # noqa: ANN401 - sizes
        """The same component under other options or sizes."""
        return replace(
            self,
            listed=self.listed if given is None else self._listed(given),
            given=self.given if given is None else given,
            context={**self.context, **context},
            prototypes={},
        )

    def _listed(self, given: Mapping[str, Value]) -> Listed:
        """Looked up anew where options specify the component, as for a run of its own."""
        if self.declared is None:
            return self.listed
        defaults = {name: one.default for name, one in self.declared.options.items()}
        options = {**defaults, **self.specifying, **given}
        found, values = specified(self.declared, options, self.listed.full_name)
        pinned = {name: replace(one, default=values[name]) for name, one in found.options.items()}
        return replace(self.listed, component=replace(found, options=pinned))

    @cached_property
    def variants(self) -> tuple[Self, ...]:
        """Under the defaults, and under each edge of each option; each is built once for all."""
        return (self, *(self.under({name: value}) for name, value in edges(self.component)))

    # --- building ---

    def target(self) -> Callable[..., Any]:
        """The callable that the component names."""
        return load_target(self.listed)

    def first(self) -> object:
        """What the target is given beside its options."""
        raise NotImplementedError

    def call_target(self, **more: Value) -> Any:  # noqa: ANN401 - it may give anything
        """Call the target as the host would, without looking at what it gives."""
        return self.target()(self.first(), **self.options, **more)

    def build(self, seed: int = 0, numpy_seed: int = 0) -> nn.Module:
        """A module of its own, built anew under this seed."""
        target = self.target()
        seed_all(seed, numpy_seed)
        module = target(self.first(), **self.options)
        if not isinstance(module, nn.Module):
            raise Fault(f"{self.title}the target gave a {type(module).__name__}, not an nn.Module")
        return module

    def module(self, seed: int = 0) -> nn.Module:
        """A copy of the module built under this seed; cheaper where building takes long."""
        if seed not in self.prototypes:
            self.prototypes[seed] = self.build(seed)
        try:
            return copy.deepcopy(self.prototypes[seed])
        except Exception:  # noqa: BLE001 - a module need not be copied
            return self.build(seed)

    # --- using ---

    def inputs(self, n: int = N, seed: int = 1, **sizes: Any) -> tuple[Any, ...]:  # noqa: ANN401 - sizes
        """What the module is called with, drawn under `seed`."""
        raise NotImplementedError

    def named(self, given: object) -> Outputs:
        """What the module gave, by name.

        Raises:
            Fault: it is not what this kind gives.
        """
        raise NotImplementedError

    def run(self, module: nn.Module, inputs: tuple[Any, ...], seed: int = 0) -> Outputs:
        """Call the module under this seed."""
        seed_all(seed, seed)
        return self.named(module(*inputs))

    def leaves(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """Tensors of the inputs that a gradient may reach."""
        del inputs
        return {}

    def tensors(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """All tensors of the inputs, by name."""
        raise NotImplementedError

    def stir(self, module: nn.Module) -> nn.Module:
        """Move away from a start at zero, where everything would look alike."""
        return module


@dataclass
class Backbone(Rig):
    """Images `[N, 3, H, W]` → features `[N, D]`."""

    kind: ClassVar[Kind] = "backbone"

    def first(self) -> object:
        """No weights."""
        return self.context.get("weights")

    @property
    def size(self) -> tuple[int, int]:
        """Of the images, pixels: as stated, as the default weights want it, or 224."""
        default = self.component.default_weights()
        side = self.options.get("img_size")
        if side:
            return int(side), int(side)
        usual = default.preprocess.size if default else (224, 224)
        return self.component.facts.input_size or usual

    def inputs(self, n: int = 2, seed: int = 1, **sizes: Any) -> tuple[Any, ...]:  # noqa: ANN401 - see Rig
        """Images of normal numbers."""
        del sizes
        return (normal(seed, n, 3, *self.size),)

    def named(self, given: object) -> Outputs:
        """The features."""
        if not isinstance(given, Tensor):
            raise Fault(f"{self.title}it gives a {type(given).__name__}, not features [N, D]")
        return {"features": given}

    def tensors(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """The images."""
        return {"images": inputs[0]}


@dataclass
class Head(Rig):
    """Features `[N, V, D]` → `HeadOutput`."""

    kind: ClassVar[Kind] = "head"

    def first(self) -> HeadContext:
        """The usual sizes, or others."""
        sizes = {"features": D, "classes": C, "views": max(2, self.fact("views"))}
        return HeadContext(**{**sizes, **self.context})

    def inputs(self, n: int = N, seed: int = 1, **sizes: Any) -> tuple[Any, ...]:  # noqa: ANN401 - see Rig
        """Features of normal numbers."""
        context = self.first()
        return (normal(seed, n, sizes.get("views", context.views), context.features),)

    def named(self, given: object) -> Outputs:
        """The ports that are not None."""
        if not isinstance(given, HeadOutput):
            raise Fault(f"{self.title}it gives a {type(given).__name__}, not a zoo.HeadOutput")
        ports = {port: getattr(given, port) for port in OUTPUT_PORTS}
        for port, value in ports.items():
            if value is not None and not isinstance(value, Tensor):
                raise Fault(f"{self.title}it gives {port} as a {type(value).__name__}")
        return {port: value for port, value in ports.items() if value is not None}

    def leaves(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """The features: in full training the backbone learns through them."""
        return {"features": inputs[0]}

    def tensors(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """The features."""
        return {"features": inputs[0]}

    def stir(self, module: nn.Module) -> nn.Module:
        """Random parameters."""
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.is_floating_point():
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        return module


@dataclass
class Loss(Rig):
    """`HeadOutput` and `Batch` → `{term: scalar}`."""

    kind: ClassVar[Kind] = "loss"

    @property
    def needs(self) -> tuple[str, ...]:
        """The ports that it declares under these options."""
        return tuple(self.fact("needs"))

    def first(self) -> LossContext:
        """The usual sizes, or others."""
        classes = self.context.get("classes", C)
        counts = tuple(10 * (one + 1) for one in range(classes))
        embedding = E if "embeddings" in self.needs else 0
        sizes: dict[str, Any] = {
            "classes": classes,
            "class_counts": counts,
            "embedding": embedding,
            "steps": 100,
        }
        return LossContext(**{**sizes, **self.context})

    def inputs(self, n: int = N, seed: int = 1, **sizes: Any) -> tuple[Any, ...]:  # noqa: ANN401 - see Rig
        """A head's output with the declared ports alone, and a batch.

        `sizes` may name views, epoch, scale of the logits, weight, and ports to give.
        """
        views, scale = sizes.get("views", self.fact("views")), sizes.get("scale", 1.0)
        context, ports = self.first(), sizes.get("ports", self.needs)
        classes = context.classes
        shapes = {
            "logits": (n, classes),
            "view_logits": (n, views, classes),
            "embeddings": (n, views, context.embedding or E),
            "similarities": (n, views, classes),
        }
        made = {
            port: (1.0 if port == "embeddings" else scale) * normal(seed + 10 * place, *shape)
            for place, (port, shape) in enumerate(shapes.items())
            if port in ports
        }
        if "similarities" in made:
            made["similarities"] = made["similarities"].tanh()  # cosines lie within -1..1
        extras = {
            port: normal(seed + 50, n, classes)
            for port in ports
            if port not in (*OUTPUT_PORTS, *FEATURE_PORTS)
        }
        batch = Batch(
            target=(torch.arange(n) * 2 + seed) % classes,
            samples=torch.arange(n) + 100 * seed,
            epoch=sizes.get("epoch", 0),
            weight=sizes.get("weight"),
            extras=extras,
        )
        output = HeadOutput(**{port: made.get(port) for port in OUTPUT_PORTS})  # type: ignore[bad-argument-type]  # the logits may be withheld
        return output, batch

    def named(self, given: object) -> Outputs:
        """The terms."""
        if not isinstance(given, dict) or not given:
            raise Fault(f"{self.title}it gives {given!r:.60}, not a dict of terms")
        for name, term in given.items():
            if not isinstance(name, str) or not isinstance(term, Tensor):
                kind = type(term).__name__
                raise Fault(f"{self.title}its term {name!r} is a {kind}, not a scalar tensor")
        return given

    def leaves(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """The ports."""
        output = inputs[0]
        ports = {port: getattr(output, port) for port in OUTPUT_PORTS}
        return {port: value for port, value in ports.items() if value is not None}

    def tensors(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """Ports and batch."""
        batch = inputs[1]
        parts = {"target": batch.target, "samples": batch.samples, "weight": batch.weight}
        found = {**self.leaves(inputs), **parts, **batch.extras}
        return {name: value for name, value in found.items() if value is not None}

    @cached_property
    def draws(self) -> bool:
        """Whether it draws at random in training, so that two computations cannot be compared."""
        return any(
            not torch.equal(*(self.total(self.module().train(), inputs, seed) for seed in (1, 2)))
            for inputs in (self.inputs(epoch=epoch) for epoch in (0, LATE))
        )

    def total(self, module: nn.Module, inputs: tuple[Any, ...], seed: int = 0) -> Tensor:
        """The sum of the terms."""
        return torch.stack([one.float() for one in self.run(module, inputs, seed).values()]).sum()


RIGS: dict[Kind, type[Rig]] = {"backbone": Backbone, "head": Head, "loss": Loss}


def normal(seed: int, *shape: int) -> Tensor:
    """Normal numbers that depend on the seed and the shape alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seed_all(seed: int, others: int) -> None:
    """Seed torch, and apart from it the generators that nobody should draw from.

    Not by `torch.manual_seed`, which notes down a traceback for each device that is not there.
    """
    torch.default_generator.manual_seed(seed)
    random.seed(others)
    np.random.seed(others)  # noqa: NPY002 - the global generator is what a plugin may have drawn from
