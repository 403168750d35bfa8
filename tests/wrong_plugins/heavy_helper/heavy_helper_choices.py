from torch.nn.modules import activation

ACTIVATIONS = tuple(name for name in ("ReLU", "GELU", "SiLU") if hasattr(activation, name))
