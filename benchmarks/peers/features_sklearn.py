"""The expert's way: timm's features of every image once, scikit-learn's logistic regression.

Each image goes once through the network, channels last and without gradients; scikit-learn's
defaults but for `max_iter`, on features as they come (of unit size, or standardised, they do no
better). There are no epochs. The whole network cannot be trained this way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import joblib
import timm
import torch
from common import ARCHITECTURE, arguments, report
from sklearn.linear_model import LogisticRegression
from timm.data import create_transform, resolve_data_config
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

if TYPE_CHECKING:
    import numpy as np

args = arguments(__doc__)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = timm.create_model(
    ARCHITECTURE,
    pretrained=True,
    pretrained_cfg_overlay={"file": str(args.weights)},
    num_classes=0,
)
model = model.eval().to(device, memory_format=torch.channels_last)
transform = create_transform(**resolve_data_config(model=model))
autocast = torch.autocast(device.type, torch.bfloat16, enabled=args.precision == "bf16")


@torch.inference_mode()
def features(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Features `[N, D]` and class indices `[N]` of a split."""
    found, targets = [], []
    images = ImageFolder(str(args.data / split), transform)
    for batch, target in DataLoader(images, args.batch_size, num_workers=args.workers):
        with autocast:
            made = model(batch.to(device, memory_format=torch.channels_last))
        found.append(made.float().cpu())
        targets.append(target)
    return torch.cat(found).numpy(), torch.cat(targets).numpy()


started = time.perf_counter()
classifier = LogisticRegression(max_iter=1000, random_state=args.seed).fit(*features("train"))
top1 = float(classifier.score(*features("val")))
seconds = time.perf_counter() - started

joblib.dump(classifier, args.out / "classifier.joblib")
report(top1, seconds, "scikit-learn")
