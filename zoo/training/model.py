"""A backbone and a head as one module, and what "frozen" means for it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.training.fold import Folding, fold
from zoo.training.memory import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from zoo.contracts import HeadOutput

    #: says in whose code an exception was raised
    Blame = Callable[[str], AbstractContextManager[None]]
    #: images `[M, 3, H, W]` → features `[M, D]`
    Through = Callable[[Tensor], Tensor]

_NORMS = (nn.modules.batchnorm._BatchNorm,)  # noqa: SLF001 - the only name of what all of them are


class Model(nn.Module):
    """Images → features → `HeadOutput`.

    Args:
        backbone: `[M, 3, H, W]` → `[M, D]`.
        head: `[N, V, D]` → `HeadOutput`.
        blame: of the two, what turns their exceptions into faults of their plugins.

    The buffer `feature_scale` multiplies the features before the head sees them. It is set once, to
    one over their root mean square in the training part, so that one learning rate suits backbones
    whose features differ in size by a factor of a hundred.

    Where `folds` is set, features are computed with the BatchNorms folded into the convolutions;
    parameters, buffers and what is saved stay those of the backbone as it was built.
    """

    feature_scale: Tensor
    #: whether the backbone stays as it was loaded for good
    folds: bool = False
    #: what came of it; None before the first image
    folding: Folding | None = None
    #: images that go through the backbone at once since memory ran out; 0 for all that are given
    at_once: int = 0

    def __init__(self, backbone: nn.Module, head: nn.Module, blame: tuple[Blame, Blame]) -> None:
        """Join the two; the feature scale is 1 until it is measured."""
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.register_buffer("feature_scale", torch.ones(()))
        self._blame = blame
        self._still: tuple[nn.Module, ...] = ()

    def features(self, images: Tensor, views: int = 1, through: Through | None = None) -> Tensor:
        """Images `[N·V, 3, H, W]` → scaled features `[N, V, D]`, float32."""
        return self.raw_features(images, views, through) * self.feature_scale

    def raw_features(
        self, images: Tensor, views: int = 1, through: Through | None = None
    ) -> Tensor:
        """Likewise, before they are scaled: they depend on the backbone and the image alone."""
        with self._blame[0]("fails on images"):
            if self.folds and self.folding is None:
                self.folding = fold(self.backbone, (images.shape[-2], images.shape[-1]))
            backbone = through or (self.folding.module if self.folding else self.backbone)
            given = backbone(images) if torch.is_grad_enabled() else self._fitting(backbone, images)
            found = given.float()
            return found.view(-1, views, found.shape[-1])

    def _fitting(self, backbone: Through, images: Tensor) -> Tensor:
        """Images `[M, 3, H, W]` → `[M, D]` without gradients, in pieces where memory runs out."""
        most = min(self.at_once or len(images), len(images))

        def attempt(size: int) -> Tensor:
            found = [backbone(part) for part in images.split(size)]
            return torch.cat(found) if len(found) > 1 else found[0]

        given, fits = fitting(attempt, most, device=images.device)
        if fits < most:
            self.at_once = fits
        return given

    def answer(self, features: Tensor) -> HeadOutput:
        """Scaled features `[N, V, D]` → `HeadOutput`."""
        with self._blame[1]("fails on features"):
            output: HeadOutput = self.head(features)
        return output

    def forward(self, images: Tensor, views: int = 1, through: Through | None = None) -> HeadOutput:
        """Images `[N·V, 3, H, W]` → `HeadOutput` for N samples.

        With `through`, that takes the backbone's place: the same, compiled.
        """
        return self.answer(self.features(images, views, through))

    def hold_still(self, modules: Iterable[nn.Module]) -> None:
        """Keep these modules in eval mode through every later `train()`."""
        self._still = tuple(modules)
        self.train(self.training)

    def _apply(self, *given: Any, **named: Any) -> Model:  # noqa: ANN401 - torch's business
        """As every module's; what was folded is folded anew from what it has become."""
        self.folding = None
        super()._apply(*given, **named)
        return self

    def train(self, mode: bool = True) -> Model:  # noqa: FBT001, FBT002 - torch's signature
        """As every module's, but what is held still stays in eval mode."""
        super().train(mode)
        for module in self._still:
            module.eval()
        return self


def freeze(model: Model) -> None:
    """Freeze the backbone: no gradients, eval mode for good."""
    model.backbone.requires_grad_(requires_grad=False)
    model.hold_still((model.backbone,))


def thaw(model: Model, *, norms_still: bool) -> None:
    """Train the backbone too; with `norms_still`, BatchNorm keeps its pretrained statistics."""
    model.folds, model.folding = False, None
    model.backbone.requires_grad_(requires_grad=True)
    norms = [module for module in model.backbone.modules() if isinstance(module, _NORMS)]
    model.hold_still(norms if norms_still else ())


def trains_norms(module: nn.Module) -> bool:
    """Whether it has a BatchNorm that normalises by the batch at hand."""
    return any(one.training and isinstance(one, _NORMS) for one in module.modules())


def fingerprint(module: nn.Module) -> str:
    """SHA-256 over the names and bytes of every parameter and buffer, in name order.

    Buffers that no file keeps (`persistent=False`) count too: a forward pass may read them.
    """
    digest = hashlib.sha256()
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
