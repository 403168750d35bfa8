"""timm: its data sets, loaders, optimisers and schedulers, put together as its train.py does.

timm's wheel has no train.py, so this is that loop without what is not used here: distribution,
mixup, averaged weights, resuming. Flags: channels last, a loader process for each core, AdamW,
cosine, a head that starts small (timm's own starts at weights of up to 0.45 for five classes, which
takes epochs to unlearn). A frozen backbone is `timm.utils.freeze`, which also keeps the statistics
of batch norm still; the whole network trains in train mode, batch norm included, as train.py would.
"""

from __future__ import annotations

import time

import torch
from common import ARCHITECTURE, CROP, JITTER, RATE, arguments, report
from timm import create_model, utils
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from torch import nn

args = arguments(__doc__)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
utils.random_seed(args.seed)

classes = sum(1 for one in (args.data / "train").iterdir() if one.is_dir())
model = create_model(
    ARCHITECTURE,
    pretrained=True,
    pretrained_cfg_overlay={"file": str(args.weights)},
    num_classes=classes,
)
with torch.no_grad():  # train.py --head-init-scale 0.01
    model.get_classifier().weight.mul_(0.01)
if args.train == "probe":
    utils.freeze(model, [name for name, _ in model.named_children() if name != "classifier"])
model = model.to(device=device, memory_format=torch.channels_last)

config = resolve_data_config(model=model)
common = {
    "input_size": config["input_size"],
    "batch_size": args.batch_size,
    "mean": config["mean"],
    "std": config["std"],
    "interpolation": config["interpolation"],
    "num_workers": args.workers,
    "device": device,
}
loader_train = create_loader(
    create_dataset("", root=args.data, split="train"),
    is_training=True,
    scale=(CROP[args.train], 1.0),
    color_jitter=JITTER[args.train],
    **common,
)
loader_val = create_loader(
    create_dataset("", root=args.data, split="val"), crop_pct=config["crop_pct"], **common
)

optimizer = create_optimizer_v2(model, opt="adamw", lr=RATE[args.train], weight_decay=0.05)
updates = len(loader_train)
scheduler, epochs = create_scheduler_v2(
    optimizer,
    sched="cosine",
    num_epochs=args.epochs,
    warmup_epochs=0,
    step_on_epochs=False,
    updates_per_epoch=updates,
)
criterion = nn.CrossEntropyLoss()
autocast = torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16")


def train_one_epoch(epoch: int) -> None:
    """One pass over the training images."""
    model.train()
    for step, (images, target) in enumerate(loader_train):
        with autocast:
            loss = criterion(model(images.contiguous(memory_format=torch.channels_last)), target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        scheduler.step_update(num_updates=epoch * updates + step + 1)


def validate() -> float:
    """Top-1 on the validation images, 0..1."""
    model.eval()
    top1 = utils.AverageMeter()
    with torch.inference_mode(), autocast:
        for images, target in loader_val:
            output = model(images.contiguous(memory_format=torch.channels_last))
            top1.update(utils.accuracy(output, target)[0].item(), images.size(0))
    return top1.avg / 100


accuracy = 0.0
started = time.perf_counter()
for epoch in range(epochs):
    train_one_epoch(epoch)
    accuracy = validate()
    scheduler.step(epoch + 1, accuracy)
seconds = time.perf_counter() - started

torch.save(model.state_dict(), args.out / "model.pth")
report(accuracy, seconds)
