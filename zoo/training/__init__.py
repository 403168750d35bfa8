"""The hot rooms: the only ones of the core that hold tensors and import torch.

In walking order: `weights` and `device` → `assemble` (plan → model) → `features` and `feeds` (what
a step sees) → `train` (phases): `sweep` (settings), then `solve` or `fit` (epochs) with `gradients`
and `optimise` → `evaluate` → `checkpoints`.
"""
