"""Several heads and losses at once: their tensors stacked, `[S, ...]`, in one vectorised pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everyone writes it
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo.contracts import Batch


class Both(nn.Module):
    """A head and its loss as one module, so that one call replaces the tensors of both."""

    def __init__(self, head: nn.Module, loss: nn.Module) -> None:
        """Both stay whose they are."""
        super().__init__()
        self.head = head
        self.loss = loss

    def forward(self, features: Tensor, batch: Batch) -> Tensor:
        """Features `[B, V, D]` → the total loss, a scalar."""
        terms = self.loss(self.head(features), batch)
        return torch.stack([term.float() for term in terms.values()]).sum()


def losses(
    both: Both,
    trained: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    features: Tensor,
    batch: Batch,
    weight: Tensor | None = None,
) -> Tensor:
    """The loss of each of S heads on the same batch, `[S]`.

    What is drawn at random, such as dropout, is the same for all: what each would draw alone.

    Args:
        both: whose tensors are replaced.
        trained: parameters `[S, ...]` by name.
        buffers: likewise.
        features: `[B, V, D]`.
        batch: what the losses are told.
        weight: of the batch's samples for each head `[S, B]`; the batch's own when None.
    """

    def one(
        trained: Mapping[str, Tensor], buffers: Mapping[str, Tensor], weight: Tensor | None
    ) -> Tensor:
        told = batch if weight is None else replace(batch, weight=weight)
        found: Tensor = torch.func.functional_call(both, {**trained, **buffers}, (features, told))
        return found

    dims = (0, 0, None if weight is None else 0)
    with _OneProduct():
        return torch.func.vmap(one, in_dims=dims, randomness="same")(trained, buffers, weight)  # type: ignore[no-any-return]


def made(
    both: Both,
    trained: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    features: Tensor,
    batch: Batch,
) -> int:
    """How many numbers the pass of `losses` makes of a batch, in units of four bytes.

    Most of them are kept for the gradients. Arguments as for `losses`; buffers may be changed.
    """
    with _Made() as seen:
        losses(both, trained, buffers, features, batch)
    return seen.bytes // 4


class _Made(TorchDispatchMode):
    """Counts the memory of what torch gives, and holds it, so that no place is taken twice."""

    def __init__(self) -> None:
        super().__init__()
        self._held = dict[int, torch.UntypedStorage]()

    def __torch_dispatch__(  # type: ignore[bad-override]  # torch's has no types
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - as the function
        """As the function."""
        del types
        given = {one.untyped_storage().data_ptr() for one in _tensors(args)}
        found = function(*args, **(kwargs or {}))
        for one in _tensors(found):
            storage = one.untyped_storage()
            if storage.data_ptr() not in given:
                self._held[storage.data_ptr()] = storage
        return found

    @property
    def bytes(self) -> int:
        """Of all that was made."""
        return sum(storage.nbytes() for storage in self._held.values())


def _tensors(found: Any) -> list[Tensor]:  # noqa: ANN401 - whatever functions take and give
    return [one for one in tree_leaves(found) if isinstance(one, Tensor)]


class _OneProduct(TorchFunctionMode):
    """Within the block, `linear` of one input and S weights is one product of matrices.

    As torch vectorises it, its gradient takes S products of small matrices, three times as long.
    """

    def __torch_function__(  # type: ignore[bad-override]  # torch's has no types
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - as the function
        del types
        if function is F.linear:
            return _linear(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
    product: Tensor = _Product.apply(input, weight)  # type: ignore[no-untyped-call]
    return product if bias is None else product + bias


class _Product(torch.autograd.Function):
    """`input @ weightᵀ`; says itself how it is vectorised, and leaves its gradient to torch."""

    @staticmethod
    def forward(  # type: ignore[bad-override]  # torch's takes anything
        entries: Tensor, weight: Tensor
    ) -> Tensor:
        """`[..., D]` and `[C, D]` → `[..., C]`."""
        return F.linear(entries, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ANN401
        """What the gradient needs."""
        del output
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(  # type: ignore[bad-override]  # torch's takes anything
        ctx: Any,  # noqa: ANN401
        gradient: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Of a product of matrices."""
        entries, weight = ctx.saved_tensors
        return gradient @ weight, gradient.flatten(0, -2).T @ entries.flatten(0, -2)

    @staticmethod
    def vmap(  # type: ignore[bad-override]  # torch's takes anything
        info: Any,  # noqa: ANN401
        in_dims: tuple[int | None, int | None],
        entries: Tensor,
        weight: Tensor,
    ) -> tuple[Tensor, int]:
        """Likewise with S of either or of both."""
        if in_dims[0] is None and in_dims[1] is not None:
            stacked = weight.movedim(in_dims[1], 0)
            found = F.linear(entries, stacked.flatten(0, 1))
            return found.unflatten(-1, (info.batch_size, -1)), found.ndim - 1
        inputs, weights = (
            one.expand(info.batch_size, *one.shape) if dim is None else one.movedim(dim, 0)
            for one, dim in zip((entries, weight), in_dims, strict=True)
        )
        found = torch.bmm(inputs.reshape(len(inputs), -1, inputs.shape[-1]), weights.mT)
        return found.reshape(*inputs.shape[:-1], -1), 0
