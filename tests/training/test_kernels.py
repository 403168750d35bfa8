from __future__ import annotations

import copy
from collections import Counter
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from zoo.training import kernels
from zoo.training.device import choose
from zoo.training.kernels import Quick

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from zoo.corridor import Run

ATTENTION = functional.scaled_dot_product_attention
HALF, FULL = torch.bfloat16, torch.float32
BACKWARD = torch.ops.aten.convolution_backward.default
FLASH = "aten._scaled_dot_product_flash_attention_for_cpu"


class Watch(TorchDispatchMode):
    """Keeps what was asked of torch: operations, and of backward convolutions how."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Counter[str]()
        self.backwards: list[tuple[torch.dtype, tuple[int, ...], list[int], list[bool]]] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        del types
        self.calls[str(func)] += 1
        if func is BACKWARD:
            grad, _, weight, _, stride, *_, mask = args
            self.backwards.append((grad.dtype, tuple(weight.shape[2:]), list(stride), list(mask)))
        return func(*args, **(kwargs or {}))


def gradients(
    module: nn.Module, images: Tensor, precision: torch.dtype, *, quick: bool
) -> tuple[list[Tensor], Watch]:
    """What came out, and the gradients of images and parameters; under autocast if not in full."""
    given = images.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    module.zero_grad()
    with Watch() as watch, Quick() if quick else nullcontext():
        with torch.autocast("cpu", HALF, enabled=precision == HALF):
            found = module(given)
        # Another weight for each output, so that none can stand for another.
        weights = torch.linspace(-1, 1, found.numel()).view(found.shape)
        (found.float() * weights).sum().backward()
    grads = [given.grad, *(parameter.grad for parameter in module.parameters())]
    return [found.detach(), *(grad for grad in grads if grad is not None)], watch


def exact(module: nn.Module, images: Tensor) -> list[Tensor]:
    """Likewise, as torch's own kernels have them in float64."""
    found, _ = gradients(copy.deepcopy(module).double(), images.double(), FULL, quick=False)
    return found


def close(found: Tensor, true: Tensor, share: float) -> bool:
    """Whether no difference is larger than a share of the largest number there is."""
    return bool((found - true).abs().max() <= share * true.abs().max())


CONVOLUTIONS = [
    pytest.param(nn.Conv2d(8, 8, 3, 2, 1, groups=8), id="depthwise, stride 2"),
    pytest.param(nn.Conv2d(8, 8, 5, 1, 2, groups=8), id="depthwise, 5x5"),
    pytest.param(nn.Conv2d(8, 8, 5, 2, 2, groups=8, bias=False), id="depthwise, 5x5, stride 2"),
    pytest.param(nn.Conv2d(8, 8, (4, 7), (3, 2), (0, 3), groups=8), id="depthwise, uneven"),
    pytest.param(nn.Conv2d(8, 16, 7, groups=8), id="depthwise, two of each, no padding"),
    pytest.param(nn.Conv2d(8, 8, 3, padding=1, groups=4), id="groups of two"),
]
OTHERS = [
    pytest.param(nn.Conv2d(8, 8, 3, 2, 1), id="all channels"),
    pytest.param(nn.Conv2d(8, 8, 3, padding=1, groups=8), id="depthwise, 3x3"),
    pytest.param(nn.Conv2d(8, 8, 5, padding="same", groups=8), id="padding by name"),
    pytest.param(nn.Conv2d(8, 8, 5, dilation=2, groups=8), id="dilated"),
]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("precision", [HALF, FULL])
@pytest.mark.parametrize("module", [*CONVOLUTIONS, *OTHERS])
def test_gradients_of_convolutions_are_those_of_torch(
    module: nn.Module, precision: torch.dtype, layout: torch.memory_format
) -> None:
    # With an odd and an even side: an output at the edge sees less of the one than of the other.
    images = torch.rand(3, 8, 13, 16).contiguous(memory_format=layout)
    true = exact(module, images)
    plain, _ = gradients(module, images, precision, quick=False)
    quick, _ = gradients(module, images, precision, quick=True)
    assert torch.equal(quick[0], plain[0])
    assert [one.shape for one in quick] == [one.shape for one in true]
    share = 0.01 if precision == HALF else 1e-5
    assert all(close(one, other, share) for one, other in zip(quick, true, strict=True))


@pytest.mark.parametrize("module", CONVOLUTIONS)
def test_no_kernel_that_is_slow_in_half_precision_is_asked(module: nn.Conv2d) -> None:
    _, plain = gradients(module, torch.rand(2, 8, 13, 16), HALF, quick=False)
    _, quick = gradients(module, torch.rand(2, 8, 13, 16), HALF, quick=True)
    assert any(map(_is_slow, plain.backwards)) or module.weight.shape[1] == 2
    assert not any(map(_is_slow, quick.backwards))
    if module.weight.shape[1] == 2:
        assert [one[0] for one in quick.backwards if one[3][1]] == [FULL]


def _is_slow(asked: tuple[torch.dtype, tuple[int, ...], list[int], list[bool]]) -> bool:
    precision, kernel, stride, (for_images, for_weight, _) = asked
    wide = for_weight and kernel[1] > 3
    return precision == HALF and (wide or (for_images and stride != [1, 1]))


@pytest.mark.parametrize("module", OTHERS)
def test_other_convolutions_are_left_to_torch(module: nn.Module) -> None:
    images = torch.rand(2, 8, 13, 16)
    plain, _ = gradients(module, images, HALF, quick=False)
    quick, watch = gradients(module, images, HALF, quick=True)
    assert len(watch.backwards) == 1
    assert all(torch.equal(one, other) for one, other in zip(quick, plain, strict=True))


def test_without_gradients_everything_is_left_to_torch() -> None:
    module, images = nn.Conv2d(8, 8, 5, padding=2, groups=8), torch.rand(2, 8, 16, 16)
    query = torch.rand(2, 2, 5, 8, dtype=HALF)
    with torch.no_grad(), Watch() as watch, Quick():
        assert module(images).grad_fn is None
        functional.scaled_dot_product_attention(query, query, query)
    assert watch.calls[f"{FLASH}.default"] == 1


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen weight", "frozen images"])
def test_only_gradients_that_are_needed_are_computed(*, frozen: bool) -> None:
    module = nn.Conv2d(8, 8, 5, 2, 2, groups=8, bias=False).to(HALF)
    module.weight.requires_grad_(not frozen)
    images = torch.rand(2, 8, 16, 16, dtype=HALF, requires_grad=frozen)
    with Watch() as watch:
        with Quick():
            found = module(images)
        found.float().sum().backward()
    assert {tuple(mask) for *_, mask in watch.backwards} == {(frozen, not frozen, False)}


class Attention(nn.Module):
    """Queries, keys and values by one product."""

    def __init__(self, how: dict[str, Any]) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)
        self.how = how

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = self.qkv(tokens).chunk(3, -1)
        return functional.scaled_dot_product_attention(query, key, value, **self.how)


@pytest.mark.parametrize(
    ("how", "tokens", "own"),
    [
        ({}, 32, True),
        ({"scale": 2.0}, 7, True),
        ({}, 33, False),
        ({"is_causal": True}, 7, False),
        ({"attn_mask": torch.ones(7, 7).tril().bool()}, 7, False),
    ],
    ids=["plain", "scaled", "many tokens", "causal", "masked"],
)
def test_attention_to_few_tokens_is_products(
    how: dict[str, Any], tokens: int, *, own: bool
) -> None:
    torch.manual_seed(0)
    module, given = Attention(how), torch.randn(2, 2, tokens, 8)
    true = exact(module, given)
    quick, watch = gradients(module, given, HALF, quick=True)
    assert (watch.calls[f"{FLASH}.default"] == 0) == own
    # As far from the truth as torch's own products of rounded numbers are, or nearer.
    plain, _ = gradients(module, given, HALF, quick=False)
    for one, other, right in zip(quick, plain, true, strict=True):
        assert (one - right).norm() <= 1.5 * (other - right).norm()


class ToItself(nn.Module):
    """Tokens `[N, L, 16]` by torch's own module."""

    def __init__(self, how: dict[str, Any], *, other: bool = False, **options: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True, **options)
        self.how = {"need_weights": False, **how}
        self.other = other

    def forward(self, tokens: Tensor) -> Tensor:
        key = tokens.flip(1) if self.other else tokens
        found: Tensor = self.attention(tokens, key, key, **self.how)[0]
        return found


TO_ITSELF = {
    "plain": (ToItself({}), 32, True),
    "without biases": (ToItself({}, bias=False), 7, True),
    "many tokens": (ToItself({}), 33, False),
    "masked": (ToItself({"attn_mask": torch.ones(7, 7).triu(1).bool()}), 7, False),
    "padded": (ToItself({"key_padding_mask": torch.arange(14).view(2, 7) > 11}), 7, False),
    "weights": (ToItself({"need_weights": True}), 7, False),
    "another": (ToItself({}, other=True), 7, False),
    "dropout": (ToItself({}, dropout=0.5), 7, False),
    "more keys": (ToItself({}, add_bias_kv=True, add_zero_attn=True), 7, False),
}


@pytest.mark.parametrize("name", TO_ITSELF)
def test_attention_of_few_tokens_to_themselves_is_products(name: str) -> None:
    module, tokens, own = TO_ITSELF[name]
    given = torch.randn(2, tokens, 16, generator=torch.Generator().manual_seed(0))
    true = exact(module, given)
    torch.manual_seed(0)
    plain, usual = gradients(module, given, HALF, quick=False)
    torch.manual_seed(0)
    quick, watch = gradients(module, given, HALF, quick=True)
    flash = f"{FLASH}.default"
    assert (watch.calls[flash] < usual.calls[flash]) == own
    if not own:
        assert all(torch.equal(one, other) for one, other in zip(quick, plain, strict=True))
        return
    for one, other, right in zip(quick, plain, true, strict=True):
        assert one.shape == right.shape
        assert (one - right).norm() <= 1.5 * (other - right).norm()


def test_dropout_that_is_off_is_no_dropout() -> None:
    module = ToItself({}, dropout=0.5).eval()
    _, watch = gradients(module, torch.rand(2, 7, 16), HALF, quick=True)
    assert watch.calls[f"{FLASH}.default"] == 0


def test_attention_in_full_precision_is_left_to_torch() -> None:
    module, given = Attention({}), torch.rand(2, 2, 7, 8)
    plain, _ = gradients(module, given, FULL, quick=False)
    quick, _ = gradients(module, given, FULL, quick=True)
    assert all(torch.equal(one, other) for one, other in zip(quick, plain, strict=True))


class Checkpointed(Attention):
    """Keeps nothing but its input for the way back."""

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = checkpoint(super().forward, tokens, use_reentrant=False)
        return found


def test_what_is_checkpointed_is_computed_again_as_it_was() -> None:
    torch.manual_seed(0)
    module, given = Checkpointed({}), torch.randn(2, 2, 7, 8)
    quick, watch = gradients(module, given, HALF, quick=True)
    assert watch.calls[f"{FLASH}.default"] == 0
    usual = Attention({})
    usual.load_state_dict(module.state_dict())
    plain, _ = gradients(usual, given, HALF, quick=True)
    assert all(torch.equal(one, other) for one, other in zip(quick, plain, strict=True))


def convolved(images: Tensor, weight: Tensor) -> Tensor:
    return functional.conv2d(images, weight, groups=8)


def test_transformed_functions_are_left_to_torch() -> None:
    """`vmap` takes no gradients of ours."""
    weights, images = torch.rand(3, 8, 1, 5, 5, requires_grad=True), torch.rand(2, 8, 9, 9)
    made = torch.vmap(partial(convolved, images))
    with Quick():
        found = made(weights)
    assert torch.equal(found, made(weights))


def test_a_processor_trains_through_quick_kernels_and_a_card_does_not() -> None:
    module = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    device = choose("cpu", "bf16", "auto", layout="conv")
    with Watch() as watch, kernels.suited(device)():
        module(torch.rand(2, 8, 16, 16)).sum().backward()
    assert [kernel for _, kernel, *_ in watch.backwards] == [(5, 3), (5, 2)]
    elsewhere = device.__class__("cuda", "a card", "bf16", True, ())  # noqa: FBT003 - in this order
    assert kernels.suited(elsewhere) is nullcontext


def test_a_full_phase_computes_attention_that_is_checkpointed_twice_by_products(
    images: Path,
    tmp_path: Path,
    train: Callable[..., Run],
    tiny: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def counted(*given: Any, **named: Any) -> Tensor | None:  # noqa: ANN401 - as torch's
        calls["asked"] += 1
        found = attended(*given, **named)
        # Of what is computed again the last is left out.
        calls["left to torch"] += found is None
        return found

    calls = Counter[str]()
    attended = kernels._OTHERS[ATTENTION]  # noqa: SLF001 - watched
    monkeypatch.setitem(kernels._OTHERS, ATTENTION, counted)  # noqa: SLF001 - watched
    tiny(target="tiny_parts:mixed_net")
    train(images, tmp_path / "run", train="full", precision="bf16", epochs=1, batch_size=4)
    assert calls == {"asked": 2 * 3, "left to torch": 0}  # three steps
