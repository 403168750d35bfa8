import torch
from torch import nn

import zoo


class Centred(nn.Module):
    """Features less their running mean, with noise in training, through a shared embedding."""

    def __init__(self, context, *, width, noise, activation):
        super().__init__()
        self.noise = noise
        self.register_buffer("centre", torch.zeros(context.features))
        self.embed = nn.Sequential(nn.Linear(context.features, width), ACTIVATIONS[activation]())
        self.classifier = nn.Linear(width, context.classes)

    def forward(self, features):
        if self.training:
            self.centre.lerp_(features.detach().float().mean(dim=(0, 1)), 0.1)
        centred = features - self.centre
        if self.training and self.noise > 0:
            centred = centred + self.noise * torch.randn_like(centred)
        embeddings = self.embed(centred)
        view_logits = self.classifier(embeddings)
        return zoo.HeadOutput(view_logits.mean(dim=1), view_logits, embeddings)


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def build(context, *, width=16, noise=0.0, activation="relu"):
    return Centred(context, width=width, noise=noise, activation=activation)
