"""How fast a network could train at all on a card, by what it computes and what it moves.

A training step multiplies three times as much as a forward pass, and each stored activation goes
over the memory bus 14 times in two bytes where convolution, norm and activation are compiled into
each other:

    seconds an image = 6 · MAC / F + 28 B · activations / B

with F the rate of a large bfloat16 product and B that of a copy, both as measured: 0.80 and 0.90 of
the data sheet. The best published runs reach 0.90 to 0.95 of it, PyTorch as it comes some 0.65.
"""

from __future__ import annotations

from dataclasses import dataclass

#: passes over the activations and how often they are multiplied, as above
_BYTES, _FLOPS = 28, 6


@dataclass(frozen=True, slots=True)
class Card:
    """A card's rates, as measured.

    Args:
        flops: a second, of bfloat16 products.
        bytes: a second, of copies.
    """

    flops: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Network:
    """What a forward pass of one image costs, in timm's counting.

    Args:
        macs: multiply-accumulate operations.
        activations: numbers that are stored; with fused attention, the scores are not.
    """

    macs: float
    activations: float


#: by a part of the name that CUDA gives them
CARDS = {"H200": Card(790e12, 4.3e12), "H100": Card(790e12, 3.0e12)}
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
    network = NETWORKS.get(architecture)
    rates = next((one for part, one in CARDS.items() if part in card), None)
    return images_per_second(network, rates) if network and rates else None
