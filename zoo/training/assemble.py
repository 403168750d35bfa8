"""Components → modules, proved before memory is taken for the real thing.

Widths and shapes are proved on the meta device, gradients on a handful of numbers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.components import Value
from zoo.contracts import Batch, HeadContext, HeadOutput, LossContext
from zoo.errors import PluginFault, SpecError, ZooError
from zoo.plugins.guard import undisturbed
from zoo.training.device import is_out_of_memory
from zoo.training.model import Model

if TYPE_CHECKING:
    from pathlib import Path

Options = Mapping[str, Value | None]
#: samples in a proof; more than one, so that a head may normalise over the batch
_PROOF_SAMPLES = 4
#: how often random numbers are sent through a head and a loss in search of what is trained
_DRAWS = 4


@dataclass(frozen=True, slots=True)
class Maker:
    """A component that can be built: its target, its options, and whom to blame.

    Args:
        title: `timm/resnet18 (zoo-timm 0.1.0)`.
        target: the callable that the component names.
        options: keywords for it.
        provides: what it declares to give.
        features: declared width of a backbone's features; None when unknown.
    """

    title: str
    target: Callable[..., Any]
    options: Options
    provides: tuple[str, ...] = ()
    features: int | None = None

    def build(self, first: object) -> nn.Module:
        """Call the target with weights or a context.

        Raises:
            PluginFault: it raised, or gave something that is no module.
        """
        given = {key: value for key, value in self.options.items() if value is not None}
        with undisturbed(torch_random=False), self.blamed("cannot be built"):
            module = self.target(first, **given)
        if not isinstance(module, nn.Module):
            message = f"{self.title} built a {type(module).__name__}, not a torch.nn.Module."
            raise PluginFault(message, hint="Report it to the plugin's author.")
        return module

    @contextlib.contextmanager
    def blamed(self, doing: str) -> Iterator[None]:
        """Turn what the plugin's code raises into a fault of the plugin's.

        Raises:
            PluginFault: with the plugin's name and its own words.
        """
        try:
            yield
        except (ZooError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            if is_out_of_memory(error):
                raise
            words = f"{type(error).__name__}: {error}".strip().split("\n")[0]
            message = f"{self.title} {doing}: {words}"
            hint = "Run again with zoo --debug for the traceback; report it to the plugin's author."
            raise PluginFault(message, hint=hint) from error


@dataclass(frozen=True, slots=True)
class Proof:
    """What a trio turns out to be when it is put together.

    Args:
        features: D.
        embedding: E; 0 without embeddings.
        backbone_params: parameters of the backbone.
        layout: `conv` or `token`, by where most of the backbone's parameters are; see
            `Facts.layout`.
        head_params: parameters of the head that the loss trains.
        loss_params: the loss's own parameters.
        unused: names of the head's parameters that the loss never reaches; they are left out of
            training.
        terms: names of the loss's terms.
    """

    features: int
    embedding: int
    backbone_params: int
    layout: str
    head_params: int
    loss_params: int
    unused: tuple[str, ...]
    terms: tuple[str, ...]


def prove(
    makers: tuple[Maker, Maker, Maker],
    *,
    size: tuple[int, int],
    classes: int,
    views: int,
    class_counts: tuple[int, ...],
    extras: tuple[str, ...],
) -> Proof:
    """Put backbone, head and loss together without their memory, and see what comes out.

    Args:
        makers: backbone, head, loss.
        size: (height, width) of the input, pixels.
        classes: C.
        views: V.
        class_counts: images of each class in the training part.
        extras: what the loss gets beside the head's output.

    Raises:
        PluginFault: a part gives another shape than its contract says.
        SpecError: the loss never trains the parameters behind `logits`.
    """
    backbone, head, loss = makers
    width, params, layout = prove_backbone(backbone, size)
    context = HeadContext(features=width, classes=classes, views=views)
    prove_head(head, context, 1)  # what prediction gives it
    output = prove_head(head, context, views)
    embedding = 0 if output.embeddings is None else output.embeddings.shape[-1]
    reached = _Reach(head, loss, context, embedding, class_counts, extras)
    return Proof(
        features=width,
        embedding=embedding,
        backbone_params=params,
        layout=layout,
        head_params=reached.head_params,
        loss_params=reached.loss_params,
        unused=reached.unused,
        terms=reached.terms,
    )


def prove_backbone(backbone: Maker, size: tuple[int, int]) -> tuple[int, int, str]:
    """Width D of a backbone's features, number of parameters and layout, on the meta device.

    Raises:
        PluginFault: it gives anything but `[N, D]`, or another D than declared.
    """
    with torch.device("meta"), torch.no_grad():
        module = backbone.build(None).eval()
        with backbone.blamed(f"fails on images of {size[0]}x{size[1]} pixels"):
            features = module(torch.empty(2, 3, *size))
    shape = tuple(getattr(features, "shape", ()))
    if len(shape) != 2 or shape[0] != 2:  # noqa: PLR2004 - [N, D] of two images
        message = f"{backbone.title} gives {shape or type(features).__name__}, not [N, D]."
        raise PluginFault(message, hint="Report it to the plugin's author.")
    if backbone.features not in (None, shape[1]):
        message = f"{backbone.title} declares {backbone.features} features and gives {shape[1]}."
        raise PluginFault(message, hint="Report it to the plugin's author.")
    return shape[1], sum(parameter.numel() for parameter in module.parameters()), layout_of(module)


def layout_of(backbone: nn.Module) -> str:
    """`conv` where most parameters are those of two-dimensional convolutions, else `token`."""
    whole = sum(parameter.numel() for parameter in backbone.parameters())
    convolutions = [one for one in backbone.modules() if isinstance(one, nn.Conv2d)]
    theirs = sum(one.weight.numel() for one in convolutions)
    return "conv" if 2 * theirs > whole else "token"


def prove_head(head: Maker, context: HeadContext, views: int) -> HeadOutput:
    """A head's output for V = `views`, on the meta device, its shapes checked.

    Raises:
        PluginFault: it breaks the contract.
    """
    with torch.device("meta"):
        module = head.build(context)
    # Outside of the block: a tensor that it makes must follow its input, not the surroundings.
    features = torch.empty(_PROOF_SAMPLES, views, context.features, device="meta")
    with head.blamed(f"fails on features of {views} views"):
        output = module(features)
    _check_output(head, output, context, views)
    return output  # type: ignore[no-any-return]


def _check_output(head: Maker, output: object, context: HeadContext, views: int) -> None:
    if not isinstance(output, HeadOutput):
        message = f"{head.title} gives a {type(output).__name__}, not a zoo.HeadOutput."
        raise PluginFault(message, hint="Report it to the plugin's author.")
    expected: dict[str, tuple[int | None, ...]] = {
        "logits": (_PROOF_SAMPLES, context.classes),
        "view_logits": (_PROOF_SAMPLES, views, context.classes),
        "embeddings": (_PROOF_SAMPLES, views, None),
        "similarities": (_PROOF_SAMPLES, views, context.classes),
    }
    for port, shape in expected.items():
        found = getattr(output, port)
        if port not in head.provides:
            continue
        actual = None if found is None else tuple(found.shape)
        if (
            actual is None
            or len(actual) != len(shape)
            or any(want not in (None, got) for want, got in zip(shape, actual, strict=True))
        ):
            message = f"{head.title} gives {port} {actual} instead of {shape}."
            raise PluginFault(message, hint="Report it to the plugin's author.")
        if found.device.type != "meta":
            message = f"{head.title} gives {port} on {found.device}, not where its features are."
            raise PluginFault(message, hint="Report it to the plugin's author.")


class _Reach:
    """Which parameters a loss trains, found by gradients of random numbers on the CPU.

    The head is built anew with random parameters: zeros, which many heads begin with, would hide a
    connection, and the meta device cannot tell a zero gradient from another.
    """

    def __init__(
        self,
        head: Maker,
        loss: Maker,
        context: HeadContext,
        embedding: int,
        class_counts: tuple[int, ...],
        extras: tuple[str, ...],
    ) -> None:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            module, objective = (
                head.build(context),
                loss.build(
                    LossContext(
                        classes=context.classes,
                        class_counts=class_counts,
                        embedding=embedding,
                        steps=100,
                    )
                ),
            )
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.1)
            features = torch.randn(_PROOF_SAMPLES, context.views, context.features)
            named = list(module.named_parameters())
            parameters = [parameter for _, parameter in named]
            trained = behind = [False] * len(named)
            terms: Mapping[str, Tensor] = {}
            # Of these few numbers, dropout may take all: whatever one draw reaches is reached.
            for _ in range(_DRAWS):
                with head.blamed("fails on features"):
                    output = module(features)
                _check_finite(head, {"logits": output.logits, "view_logits": output.view_logits})
                terms = loss_terms(loss, objective, output, _proof_batch(context.classes, extras))
                _check_finite(loss, terms)
                trained = _either(trained, _touched(sum(terms.values()), parameters))
                behind = _either(behind, _touched(output.logits.square().sum(), parameters))
                if all(trained):
                    break
        self.terms = tuple(terms)
        self.unused = tuple(name for (name, _), hit in zip(named, trained, strict=True) if not hit)
        self.head_params = sum(
            parameter.numel() for (_, parameter), hit in zip(named, trained, strict=True) if hit
        )
        self.loss_params = sum(parameter.numel() for parameter in objective.parameters())
        lost = [
            name
            for (name, _), needed, hit in zip(named, behind, trained, strict=True)
            if needed and not hit
        ]
        if lost:
            message = (
                f"{loss.title} never trains what {head.title} predicts with: "
                f"no gradient reaches {', '.join(lost)}."
            )
            raise SpecError(message, hint="Choose another loss, or other options of it.")


def _check_finite(maker: Maker, found: Mapping[str, Tensor | None]) -> None:
    """Ordinary numbers in, so ordinary numbers out."""
    for name, value in found.items():
        if value is not None and not bool(value.isfinite().all()):
            message = f"{maker.title} gives {name} that are not finite for ordinary numbers."
            raise PluginFault(message, hint="Report it to the plugin's author.")


def _proof_batch(classes: int, extras: tuple[str, ...]) -> Batch:
    target = torch.arange(_PROOF_SAMPLES) % classes
    return Batch(
        target=target,
        samples=torch.arange(_PROOF_SAMPLES),
        epoch=0,
        extras={name: torch.randn(_PROOF_SAMPLES, classes) for name in extras},
    )


def _either(one: list[bool], other: list[bool]) -> list[bool]:
    return [a or b for a, b in zip(one, other, strict=True)]


def _touched(total: Tensor | int, parameters: list[nn.Parameter]) -> list[bool]:
    if not isinstance(total, Tensor) or not total.requires_grad:
        return [False] * len(parameters)
    gradients = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
    return [gradient is not None and bool(gradient.any()) for gradient in gradients]


def loss_terms(
    maker: Maker, loss: nn.Module, output: HeadOutput, batch: Batch
) -> dict[str, Tensor]:
    """A loss's terms by name, checked: at least one, each a scalar tensor of real numbers.

    Raises:
        PluginFault: the loss breaks the contract.
    """
    with maker.blamed("fails on a batch"):
        terms = loss(output, batch)
    good = (
        isinstance(terms, dict)
        and terms
        and all(
            isinstance(term, Tensor) and term.ndim == 0 and term.is_floating_point()
            for term in terms.values()
        )
        and all(term.device == output.logits.device for term in terms.values())
    )
    if not good:
        message = (
            f"{maker.title} must give a dict of scalar tensors (floats, on the logits' device) by "
            "term name."
        )
        raise PluginFault(message, hint="Report it to the plugin's author.")
    return terms  # type: ignore[no-any-return]


def total_loss(maker: Maker, terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of a loss's terms, to be differentiated.

    Raises:
        PluginFault: nothing that is trained leads to it.
    """
    total = torch.stack(list(terms.values())).sum()
    if not total.requires_grad:
        message = f"{maker.title} gave a loss that depends on nothing that is trained."
        raise PluginFault(message, hint="Report it to the plugin's author.")
    return total


def build_model(
    makers: tuple[Maker, Maker], weights: Path | None, context: HeadContext, seed: int
) -> Model:
    """The real model on the CPU; whatever is random in it is a function of the seed."""
    backbone, head = makers
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = backbone.build(weights), head.build(context)
    return Model(*built, (backbone.blamed, head.blamed))


def build_loss(maker: Maker, context: LossContext, seed: int) -> nn.Module:
    """The loss of one phase."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return maker.build(context)
