"""fastai: `vision_learner` with `fit_one_cycle` on a frozen backbone, `fine_tune` on the whole.

As its documentation has it: its own head (pooling, batch norm, dropout, two layers), its learning
rates, and batch norm of the backbone that goes on training while the rest is frozen (`train_bn`).
Flags: channels last, a loader process for each core, crop and flip on the items, which costs a CPU
less than on batches. Its bfloat16 is for CUDA alone, so on a CPU it stays with float32.
`fine_tune(N - 1)` is one epoch frozen and N - 1 of the whole.
"""

from __future__ import annotations

import time

import torch
from common import ARCHITECTURE, CROP, JITTER, arguments, report
from fastai.vision.all import (
    Brightness,
    Contrast,
    FlipItem,
    ImageDataLoaders,
    RandomResizedCrop,
    Saturation,
    accuracy,
    set_seed,
    vision_learner,
)

args = arguments(__doc__)
set_seed(args.seed)

jitter = JITTER[args.train]
loaders = ImageDataLoaders.from_folder(
    args.data,
    train="train",
    valid="val",
    item_tfms=[RandomResizedCrop(224, min_scale=CROP[args.train]), FlipItem()],
    batch_tfms=[one(max_lighting=jitter, p=1.0) for one in (Brightness, Contrast, Saturation)]
    if jitter
    else None,
    bs=args.batch_size,
    num_workers=args.workers,
    seed=args.seed,
)
learn = vision_learner(
    loaders,
    ARCHITECTURE,
    metrics=accuracy,
    pretrained_cfg_overlay={"file": str(args.weights)},
    path=args.out,
)
learn.to_channelslast(use_amp=False)
if args.precision == "bf16" and torch.cuda.is_available():
    learn.to_bf16()

started = time.perf_counter()
with learn.no_bar(), learn.no_logging():
    if args.train == "probe":
        learn.fit_one_cycle(args.epochs, 2e-3)
    else:
        learn.fine_tune(args.epochs - 1)
seconds = time.perf_counter() - started

learn.save("model", with_opt=False)
report(float(learn.recorder.values[-1][-1]), seconds, "fastai")
