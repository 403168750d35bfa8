"""Hugging Face: `Trainer` with a timm model, in the manner of its run_image_classification.py.

The images come through torchvision's ImageFolder, whose pictures are decoded as the example's are;
the data library of that example would add its own start. Flags: channels last, a loader process for
each core that is kept between the epochs, cosine. A frozen backbone is `timm.utils.freeze`, since
`requires_grad=False` alone would let the Trainer train on with batch norm in train mode.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from common import ARCHITECTURE, CROP, JITTER, RATE, arguments, report
from timm.utils import freeze
from torchvision.datasets import ImageFolder
from torchvision.transforms import (
    CenterCrop,
    ColorJitter,
    Compose,
    InterpolationMode,
    Normalize,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ToTensor,
)
from transformers import (
    EvalPrediction,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
    Trainer,
    TrainingArguments,
    set_seed,
)


def local_model(weights: Path, classes: list[str]) -> TimmWrapperForImageClassification:
    """The pretrained network with a new classifier, from a folder as the hub would give it."""
    with tempfile.TemporaryDirectory() as folder:
        TimmWrapperConfig(architecture=ARCHITECTURE, num_labels=1000).save_pretrained(folder)
        shutil.copyfile(weights, Path(folder) / "model.safetensors")
        return TimmWrapperForImageClassification.from_pretrained(
            folder,
            num_labels=len(classes),
            id2label=dict(enumerate(classes)),
            label2id={name: index for index, name in enumerate(classes)},
            ignore_mismatched_sizes=True,
        )


def collate(examples: list[tuple[torch.Tensor, int]]) -> dict[str, torch.Tensor]:
    """A batch as the model takes it."""
    images, labels = zip(*examples, strict=True)
    return {"pixel_values": torch.stack(images), "labels": torch.tensor(labels)}


def top1(answers: EvalPrediction) -> dict[str, float]:
    """The metric of an evaluation."""
    return {"accuracy": float((np.argmax(answers.predictions, 1) == answers.label_ids).mean())}


args = arguments(__doc__)
set_seed(args.seed)

jitter = JITTER[args.train]
bicubic = InterpolationMode.BICUBIC
normalize = [ToTensor(), Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
augment = [
    RandomResizedCrop(224, scale=(CROP[args.train], 1.0), interpolation=bicubic),
    RandomHorizontalFlip(),
    *([ColorJitter(jitter, jitter, jitter)] if jitter else []),
]
plain = [Resize(256, interpolation=bicubic), CenterCrop(224)]
train_set = ImageFolder(str(args.data / "train"), Compose([*augment, *normalize]))
val_set = ImageFolder(str(args.data / "val"), Compose([*plain, *normalize]))

model = local_model(args.weights, train_set.classes)
if args.train == "probe":
    children = [name for name, _ in model.timm_model.named_children()]
    freeze(model.timm_model, [name for name in children if name != "classifier"])
model = model.to(memory_format=torch.channels_last)

trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=str(args.out),
        num_train_epochs=args.epochs,
        per_device_train_batch_size=args.batch_size,
        per_device_eval_batch_size=args.batch_size,
        learning_rate=RATE[args.train],
        weight_decay=0.05,
        lr_scheduler_type="cosine",
        eval_strategy="epoch",
        save_strategy="no",
        dataloader_num_workers=args.workers,
        dataloader_persistent_workers=args.workers > 0,
        bf16=args.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),  # else bf16 is refused on a CPU
        report_to="none",
        disable_tqdm=True,
        seed=args.seed,
        remove_unused_columns=False,
    ),
    data_collator=collate,
    train_dataset=train_set,
    eval_dataset=val_set,
    compute_metrics=top1,
)
started = time.perf_counter()
trainer.train()
seconds = time.perf_counter() - started

trainer.save_model()
evaluations = [one["eval_accuracy"] for one in trainer.state.log_history if "eval_accuracy" in one]
report(evaluations[-1], seconds, "transformers", "accelerate")
