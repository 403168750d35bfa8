"""The hot rooms: the only ones of the core that hold tensors and import torch.

In walking order: `weights` and `device` → `assemble` (plan → model) → `features` and `inputs`
(what a step sees) → `optimise`, `steps` and `fit` (epochs) → `evaluate` → `checkpoints`.
"""
