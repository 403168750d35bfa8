"""pytorch-metric-learning, imported without the warning filters that come with what it imports."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    from pytorch_metric_learning import distances, losses, miners, reducers

__all__ = ["distances", "losses", "miners", "reducers"]
