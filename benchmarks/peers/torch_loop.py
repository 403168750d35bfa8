"""A plain PyTorch loop: torchvision's ImageFolder, a DataLoader, AdamW with a cosine schedule.

The loop that PyTorch's transfer learning tutorial teaches, with its flags tuned: channels last, a
loader process for each core that is kept between the epochs, no gradients through a frozen backbone
and its batch norm in eval mode.
"""

from __future__ import annotations

import time

import timm
import torch
from common import ARCHITECTURE, CROP, JITTER, RATE, arguments, report
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.transforms import InterpolationMode

args = arguments(__doc__)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(args.seed)

jitter = JITTER[args.train]
bicubic = InterpolationMode.BICUBIC
normalize = [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
augment = [
    transforms.RandomResizedCrop(224, scale=(CROP[args.train], 1), interpolation=bicubic),
    transforms.RandomHorizontalFlip(),
    *([transforms.ColorJitter(jitter, jitter, jitter)] if jitter else []),
]
plain = [transforms.Resize(256, interpolation=bicubic), transforms.CenterCrop(224)]
train_set = ImageFolder(str(args.data / "train"), transforms.Compose([*augment, *normalize]))
val_set = ImageFolder(str(args.data / "val"), transforms.Compose([*plain, *normalize]))
loading = {
    "batch_size": args.batch_size,
    "num_workers": args.workers,
    "persistent_workers": args.workers > 0,
}
train_loader = DataLoader(train_set, shuffle=True, drop_last=True, **loading)
val_loader = DataLoader(val_set, **loading)

backbone = timm.create_model(
    ARCHITECTURE,
    pretrained=True,
    pretrained_cfg_overlay={"file": str(args.weights)},
    num_classes=0,
)
backbone = backbone.to(device, memory_format=torch.channels_last)
head = nn.Linear(backbone.num_features, len(train_set.classes)).to(device)
frozen = args.train == "probe"
backbone.requires_grad_(requires_grad=not frozen)

weights = [*head.parameters(), *(() if frozen else backbone.parameters())]
optimizer = torch.optim.AdamW(weights, lr=RATE[args.train], weight_decay=0.05)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(train_loader))
criterion = nn.CrossEntropyLoss()
autocast = torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16")


def logits(images: torch.Tensor) -> torch.Tensor:
    """Images `[N, 3, H, W]` → logits `[N, C]`."""
    images = images.to(device, memory_format=torch.channels_last)
    with autocast:
        return head(backbone(images))


def train_one_epoch() -> None:
    """One pass over the training images."""
    backbone.train(not frozen)
    for images, target in train_loader:
        loss = criterion(logits(images), target.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()


@torch.inference_mode()
def validate() -> float:
    """Top-1 on the validation images, 0..1."""
    backbone.eval()
    right = 0
    for images, target in val_loader:
        right += int((logits(images).argmax(1) == target.to(device)).sum())
    return right / len(val_set)


accuracy = 0.0
started = time.perf_counter()
for _ in range(args.epochs):
    train_one_epoch()
    accuracy = validate()
seconds = time.perf_counter() - started

torch.save({"backbone": backbone.state_dict(), "head": head.state_dict()}, args.out / "model.pth")
report(accuracy, seconds)
