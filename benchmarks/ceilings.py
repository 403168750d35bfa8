"""How fast a network could train at all on a card, by what it computes and what it moves.

A training step multiplies three times as much as a forward pass, and each stored activation goes
over the memory bus 14 times in two bytes where convolution, norm and activation are compiled into
each other:

    seconds an image = 6 · MAC / F + 28 B · activations / B

with F the rate of a large bfloat16 product and B that of a copy. Both were measured on an H200,
where they are 0.80 and 0.90 of what its data sheet says; those of the other cards are derived, as
the same shares of their data sheets, and nobody has measured them for this. The best published runs
reach 0.90 to 0.95 of the ceiling, PyTorch as it comes some 0.65.
"""

from __future__ import annotations

from dataclasses import dataclass

#: passes over the activations and how often they are multiplied, as above
_BYTES, _FLOPS = 28, 6
#: what the H200 reaches of its data sheet
_PRODUCTS, _COPIES = 0.80, 0.90


@dataclass(frozen=True, slots=True)
class Card:
    """A card's rates.

    Args:
        flops: a second, of bfloat16 products.
        bytes: a second, of copies.
        measured: else derived from the data sheet.
    """

    flops: float
    bytes: float
    measured: bool = False


def by_data_sheet(flops: float, bytes: float) -> Card:  # noqa: A002 - the field's own word
    """A card of which the data sheet alone is known: dense bfloat16 products, memory bandwidth."""
    return Card(_PRODUCTS * flops, _COPIES * bytes)


@dataclass(frozen=True, slots=True)
class Network:
    """What a forward pass of one image costs, in timm's counting.

    Args:
        macs: multiply-accumulate operations.
        activations: numbers that are stored; with fused attention, the scores are not.
    """

    macs: float
    activations: float


#: by the whole name that CUDA gives them: cards of one chip differ in clock and in memory, and a
#: part of a card (MIG) bears a longer name
CARDS = {
    "NVIDIA H200": Card(790e12, 4.3e12, measured=True),
    "NVIDIA H200 NVL": by_data_sheet(835e12, 4.8e12),
    "NVIDIA H100 80GB HBM3": by_data_sheet(989e12, 3.35e12),
    "NVIDIA H100 NVL": by_data_sheet(835e12, 3.9e12),
    "NVIDIA H100 PCIe": by_data_sheet(756e12, 2.0e12),
    "NVIDIA A100-SXM4-80GB": by_data_sheet(312e12, 2.039e12),
    "NVIDIA A100-SXM4-40GB": by_data_sheet(312e12, 1.555e12),
    "NVIDIA A100 80GB PCIe": by_data_sheet(312e12, 1.935e12),
    "NVIDIA A100-PCIE-40GB": by_data_sheet(312e12, 1.555e12),
}
#: at 224x224
NETWORKS = {
    "resnet18": Network(1.82e9, 2.48e6),
    "resnet50": Network(4.11e9, 11.11e6),
    "vit_small_patch16_224": Network(4.61e9, 8.25e6),
    "convnext_tiny": Network(4.47e9, 13.44e6),
    "efficientnet_b0": Network(0.40e9, 6.75e6),
}


def images_per_second(network: Network, card: Card) -> float:
    """The ceiling of training."""
    return 1 / (_FLOPS * network.macs / card.flops + _BYTES * network.activations / card.bytes)


def ceiling(architecture: str, card: str) -> float | None:
    """The same by names; None where the network or the card is not known here.

    Args:
        architecture: as timm and torchvision call it.
        card: as CUDA calls it, such as `NVIDIA H200`.
    """
    network, rates = NETWORKS.get(architecture), CARDS.get(card)
    return images_per_second(network, rates) if network and rates else None


def origin(card: str) -> str:
    """Where a card's ceilings come from, in a sentence."""
    rates = CARDS.get(card)
    if rates is None:
        return f"No ceiling is known of {card}: see CARDS in ceilings.py."
    how = "measured on such a card" if rates.measured else "derived from its data sheet"
    return f"The ceilings of {card} go by rates {how}."
