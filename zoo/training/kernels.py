"""Gradients that torch's kernels for processors compute slowly, computed by its quick ones.

Each is the same sum in another shape, so that another kernel adds it up. Only training goes through
this, and a figure never does. Measured with torch 2.15 on a processor with AMX, in bfloat16 and
channels last, milliseconds of one core:

- the weights of a depthwise convolution that is wider than three columns: 121 for 5x5 on
  16 x 240 x 28 x 28, 9 by three columns at a time (in float32 22 and 8, for a stride of one);
- the input of a depthwise convolution with a stride: 124 for 3x3 on 16 x 96 x 112 x 112, 20 through
  that of stride one;
- the weights of a convolution in groups of two to four channels: 661 for 256 channels in fours on
  16 x 56 x 56, 99 in float32;
- attention, forwards and backwards: 52 on 32 x 3 x 197 x 64, 25 by two products.

All in all a step of EfficientNet-Lite0 takes 0.48 of the time, of vit_tiny 0.76, of Lite0 in
float32 0.95; of torchvision's ViT of that size 0.74, of its vit_b_16 0.82; ResNets have nothing of
this.
"""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from zoo.training.device import Device

Pair = tuple[int, int]

#: most columns of a depthwise kernel for which there is a quick gradient
_COLUMNS = 3
#: most channels of a group whose weights' gradient is quicker in float32
_NARROW = 4
#: attention's weights are kept where a query has at most so many times as many keys as channels:
#: then they take no more memory than what else a layer keeps
_KEYS = 4


class How(NamedTuple):
    """How a convolution without dilation goes over its images."""

    stride: Pair
    padding: Pair
    groups: int


def suited(device: Device) -> Callable[[], AbstractContextManager[object]]:
    """Makes what a step on this device is computed within, forwards and backwards.

    On the way back what was checkpointed is computed once more, and must be what it was.
    """
    return Quick if device.torch.type == "cpu" else nullcontext


class Quick(TorchFunctionMode):
    """Within it, what is computed on a processor with gradients has quick ones."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401 - torch's signature
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function gives
        """The function itself, but for those that have another way."""
        if func is Tensor.backward and _is_plain(*args, **(kwargs or {})):
            return self._back(args[0])
        other = _OTHERS.get(func) if torch.is_grad_enabled() and not _transformed() else None
        found = other(*args, **(kwargs or {})) if other else None
        return func(*args, **(kwargs or {})) if found is None else found

    def _back(self, total: Tensor) -> None:
        """`total.backward()` with the mode on: what was checkpointed is computed again on the way.

        While a mode looks after a function of torch it is off, and the engine keeps to the modes
        that it was called within. So it is called itself, as no function is looked after then.
        """
        keep_graph = create_graph = False
        with self:
            torch.autograd.Variable._execution_engine.run_backward(  # noqa: SLF001 - see above
                (total,),
                (torch.ones_like(total),),
                keep_graph,
                create_graph,
                (),
                allow_unreachable=True,
                accumulate_grad=True,
            )


def _is_plain(total: Tensor, *given: Any, **named: Any) -> bool:  # noqa: ANN401 - torch's signature
    """Whether `backward` is asked of a scalar, and nothing else of it."""
    others = [*given, *named.values()]
    return total.ndim == 0 and all(one is None or one is False for one in others)


def _transformed() -> bool:
    """Whether torch.func is at work, such as `vmap`, which wants no gradients but its own."""
    active: bool = torch._C._are_functorch_transforms_active()  # noqa: SLF001 - nothing else tells
    return active


def _convolved(  # noqa: PLR0913, PLR0917 - torch's signature
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor | None:
    """`conv2d` with quick gradients; None where torch's own are quick, or no others are known."""
    step, dilated = _pair(stride), _pair(dilation)
    if groups == 1 or isinstance(padding, str) or dilated != (1, 1) or images.ndim != 4:  # noqa: PLR2004 - [N, C, H, W]
        return None
    precision = _precision(images)
    if not _slow(precision, weight, step):
        return None
    cast = [one if one is None else one.to(precision) for one in (images, weight, bias)]
    made: Tensor = _Convolution.apply(*cast, How(step, _pair(padding), groups))
    return made


def _slow(precision: torch.dtype, weight: Tensor, stride: Pair) -> bool:
    """Whether one of the gradients of a grouped convolution has a way of its own."""
    return (
        _by_columns(precision, weight, stride)
        or _in_full(precision, weight, stride)
        or _through_stride_one(precision, weight, stride)
    )


def _by_columns(precision: torch.dtype, weight: Tensor, stride: Pair) -> bool:
    wide = weight.shape[1] == 1 and weight.shape[3] > _COLUMNS
    return wide and (precision == torch.bfloat16 or stride == (1, 1))


def _in_full(precision: torch.dtype, weight: Tensor, stride: Pair) -> bool:
    narrow = 1 < weight.shape[1] <= _NARROW
    return narrow and precision == torch.bfloat16 and stride == (1, 1)


def _through_stride_one(precision: torch.dtype, weight: Tensor, stride: Pair) -> bool:
    return weight.shape[1] == 1 and precision == torch.bfloat16 and stride != (1, 1)


class _Convolution(torch.autograd.Function):
    """A grouped convolution: images `[N, C, H, W]`, weight `[D, C / groups, h, w]`."""

    @staticmethod
    def forward(  # type: ignore[bad-override]  # what apply is given
        ctx: Any,  # noqa: ANN401 - torch does not say what may be kept there
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        how: How,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.how = how
        return functional.conv2d(images, weight, bias, how.stride, how.padding, 1, how.groups)

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[bad-override]  # there is one output
        ctx: Any,  # noqa: ANN401 - see above
        grad: Tensor,
    ) -> tuple[Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        for_images, for_weight, for_bias, _ = ctx.needs_input_grad
        return (
            _of_images(grad, images, weight, ctx.how) if for_images else None,
            _of_weight(grad, images, weight, ctx.how) if for_weight else None,
            grad.sum((0, 2, 3)) if for_bias else None,
            None,
        )


def _of_images(grad: Tensor, images: Tensor, weight: Tensor, how: How) -> Tensor:
    """Gradient of the images `[N, C, H, W]`, from that of what came out `[N, D, h', w']`."""
    if _through_stride_one(grad.dtype, weight, how.stride):
        # Of the outputs with stride one the others reach nobody: their gradients are zero.
        sizes = (
            size + 2 * pad - kernel + 1
            for size, pad, kernel in zip(
                images.shape[2:], how.padding, weight.shape[2:], strict=True
            )
        )
        shape = (*grad.shape[:2], *sizes)
        every = torch.empty(shape, dtype=grad.dtype, memory_format=_layout(images)).zero_()
        every[:, :, :: how.stride[0], :: how.stride[1]] = grad
        grad, how = every, how._replace(stride=(1, 1))
    return _backward(grad, images, weight, how, (True, False, False))[0]


def _of_weight(grad: Tensor, images: Tensor, weight: Tensor, how: How) -> Tensor:
    """Gradient of the weight `[D, C / groups, h, w]`."""
    mask = False, True, False
    if _in_full(grad.dtype, weight, how.stride):
        found = _backward(grad.float(), images.float(), weight.float(), how, mask)[1]
        return found.to(grad.dtype)
    if not _by_columns(grad.dtype, weight, how.stride):
        return _backward(grad, images, weight, how, mask)[1]
    parts = []
    padded = how._replace(padding=(how.padding[0], 0))
    for first in range(0, weight.shape[3], _COLUMNS):
        some = weight[..., first : first + _COLUMNS]
        # The columns of the padded images that these of the kernel ever see.
        left, seen = how.padding[1] - first, (grad.shape[3] - 1) * how.stride[1] + some.shape[3]
        part = functional.pad(images, (left, seen - images.shape[3] - left))
        parts.append(_backward(grad, part, some, padded, mask)[1])
    return torch.cat(parts, -1)


def _backward(
    grad: Tensor, images: Tensor, weight: Tensor, how: How, mask: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    """Torch's own gradients of images, weight and bias, as far as the mask asks for them."""
    transposed = False
    found: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        grad, images, weight, None, how.stride, how.padding, (1, 1), transposed, (0, 0), how.groups,
        mask,
    )  # fmt: skip
    return found


def _attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002 - torch's signature
    **others: Any,  # noqa: ANN401 - likewise
) -> Tensor | None:
    """`scaled_dot_product_attention` of `[..., L, E]` by products; None where that does not pay."""
    scale = others.pop("scale", None)
    if attn_mask is not None or dropout_p or is_causal or any(others.values()):
        return None
    precision, width = _precision(query), query.shape[-1]
    if not _few(precision, key.shape[-2], width):
        return None
    query, key, value = (one.to(precision) for one in (query, key, value))
    scores = (query * (width**-0.5 if scale is None else scale)) @ key.mT
    return scores.softmax(-1) @ value


def _few(precision: torch.dtype, keys: int, width: int) -> bool:
    """Whether there are so few keys that attention by products is quicker, and small enough."""
    return precision == torch.bfloat16 and keys <= _KEYS * width


def _attended_to_itself(*args: Any, **kwargs: Any) -> tuple[Tensor, None] | None:  # noqa: ANN401 - torch's signature
    """`multi_head_attention_forward`, as in `nn.MultiheadAttention`, of tokens to themselves.

    Torch asks itself for the attention within, and no mode hears of that.
    """
    bound = _MULTI_HEAD.bind(*args, **kwargs)
    bound.apply_defaults()
    given = bound.arguments
    tokens, heads = given["query"], given["num_heads"]
    others = [given[name] for name in _UNUSUAL]
    if (
        not tokens is given["key"] is given["value"]
        or tokens.ndim != 3  # noqa: PLR2004 - [L, N, E]
        or any(one is not None and one is not False for one in others)
        or (given["training"] and given["dropout_p"])
        or not _few(_precision(tokens), len(tokens), tokens.shape[2] // heads)
    ):
        return None
    made = functional.linear(tokens, given["in_proj_weight"], given["in_proj_bias"])
    # [L, N, 3 E] → [3, N, heads, L, E / heads]
    query, key, value = made.unflatten(-1, (3, heads, -1)).permute(2, 1, 3, 0, 4).unbind()
    found = _attended(query, key, value)
    assert found is not None  # noqa: S101 - asked for above
    joined = found.permute(2, 0, 1, 3).flatten(2)
    return functional.linear(joined, given["out_proj_weight"], given["out_proj_bias"]), None


_MULTI_HEAD = inspect.signature(functional.multi_head_attention_forward)
#: of its arguments, those that are nothing, or false, where it does the usual
_UNUSUAL = (
    "need_weights", "attn_mask", "key_padding_mask", "is_causal", "bias_k", "bias_v",
    "add_zero_attn", "use_separate_proj_weight", "static_k", "static_v",
)  # fmt: skip

#: function → the same in another way, or None where it is better as it is. A mode is told of
#: torch's own conv2d, also where that of `functional` is wrapped, to count its calls for instance
_OTHERS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.conv2d: _convolved,
    functional.scaled_dot_product_attention: _attended,
    functional.multi_head_attention_forward: _attended_to_itself,
}


def _precision(tensor: Tensor) -> torch.dtype:
    """What autocast, or the tensor itself, computes in."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu")
    return tensor.dtype


def _layout(images: Tensor) -> torch.memory_format:
    last = images.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _pair(given: int | Pair) -> Pair:
    """One number for both axes, or one for each."""
    if isinstance(given, int):
        return given, given
    return (given[0], given[-1])
