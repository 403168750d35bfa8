"""What each mutant of the head does otherwise than the one that it is made of."""

from __future__ import annotations

import contextlib
import os
import socket
import warnings
from dataclasses import replace

import numpy as np
import torch
import zoo_heads.linear
from torch import nn
from torch.nn import functional as F
from zoo_mutants_around import Around, named


def linear(context, dropout=0.0):
    return zoo_heads.linear.build(context, dropout=dropout)


def head(mutant):
    """A builder of the head around which `mutant` stands."""

    def build(context, *, dropout=0.0):
        return mutant(linear(context, dropout))

    return build


def head_of(after):
    """A builder of the head with a function over its output and its features."""
    return head(named(after))


def scaled(output, factor):
    return replace(output, logits=output.logits * factor, view_logits=output.view_logits * factor)


head_control = head_of(lambda output, _: output)
head_ports__drops_one = head_of(lambda output, _: replace(output, view_logits=None))
head_ports__hidden_one = head_control
head_ports__float64 = head_of(lambda output, _: replace(output, logits=output.logits.double()))
head_ports__views_first = head_of(
    lambda output, _: replace(output, view_logits=output.view_logits.transpose(0, 1))
)
head_ports__bare_tensor = head_of(lambda output, _: output.logits)
head_gradients__cut = head_of(
    lambda output, _: scaled(
        replace(output, logits=output.logits.detach(), view_logits=output.view_logits.detach()), 1.0
    )
)
head_gradients__nan = head_of(
    lambda output, x: scaled(output, (1 + 0 * (x - x).sum().abs().sqrt()))
)
head_autocast__dtype = head_of(
    lambda output, x: replace(
        output,
        logits=torch.empty_like(x[:, 0, :1])
        .expand(-1, output.logits.shape[1])
        .clone()
        .index_copy_(0, torch.arange(len(x), device=x.device), output.logits),
    )
)
head_device__made_on_cpu = head_of(
    lambda output, _: replace(output, logits=output.logits + torch.ones(output.logits.shape[1]))
)
head_no_wait__item = head_of(
    lambda output, x: output if x.is_meta or x.sum().item() < 1e9 else scaled(output, 0.0)
)
head_logits__softmax = head_of(lambda output, _: replace(output, logits=output.logits.softmax(-1)))
head_convex__relu = head_of(lambda output, _: replace(output, logits=output.logits.relu()))
head_modes__dropout_in_eval = head_of(
    lambda output, _: replace(output, logits=F.dropout(output.logits, 0.5))
)
head_independence__centres = head_of(
    lambda output, _: replace(output, logits=output.logits - output.logits.mean(0))
)
head_global_state__patches_torch = head_of(
    lambda output, _: setattr(F, "relu6", lambda x: x) or output
)
head_global_state__warnings = head_of(lambda output, _: warnings.simplefilter("ignore") or output)


def head_signature__other_default(context, *, dropout=0.5):
    return linear(context, dropout)


def head_signature__undeclared_keyword(context, *, dropout=0.0, scale=1.0):
    return linear(context, dropout)


def head_signature__undeclared_need(context, scale=1.0, *, dropout=0.0, hidden):
    return linear(context, dropout)


def head_unknown_option__swallowed(context, *, dropout=0.0, **more):
    return linear(context, dropout)


def head_builds__edge_fails(context, *, dropout=0.0):
    return linear(context, 1 / (0.9 - dropout) and dropout)


def head_option_effect__deaf(context, *, dropout=0.0):
    return linear(context)


def head_meta__looks_at_a_number(context, *, dropout=0.0):
    module = linear(context, dropout)
    float(module.classifier.weight.sum())
    return module


def head_context__two_classes(context, *, dropout=0.0):
    return linear(replace(context, classes=max(3, context.classes)), dropout)


_kept = {}


def head_fresh__one_for_all(context, *, dropout=0.0):
    return _kept.setdefault((context, dropout), linear(context, dropout))


class SharedCounter(Around):
    calls = []

    def after(self, output, *_):
        self.calls.append(1)
        return scaled(output, 1 + len(self.calls)) if self.training else output


def head_seed__numpy(context, *, dropout=0.0):
    module = linear(context, dropout)
    nn.init.constant_(module.classifier.bias, float(np.random.rand()))
    return module


class PlainAttribute(Around):
    def __init__(self, inner):
        super().__init__(inner)
        self.factor = torch.rand(())

    def after(self, output, *_):
        return scaled(output, self.factor.to(output.logits.device))


class Counter(Around):
    calls = 0

    def after(self, output, *_):
        self.calls += self.training
        return scaled(output, 1 / (1 + self.calls))


class PlainList(Around):
    def __init__(self, inner):
        super().__init__(inner)
        self.layers = [nn.Linear(1, 1)]

    def after(self, output, *_):
        return scaled(output, self.layers[0].weight[0, 0])


class DeafToEval(Around):
    def eval(self):
        return self


class CountsInEval(Around):
    def __init__(self, inner):
        super().__init__(inner)
        self.register_buffer("seen", torch.zeros(()))

    def after(self, output, *_):
        self.seen += 1
        return output


class DetachesFeatures(Around):
    def before(self, features):
        return (features.detach(),)


class KeepsTheGraph(Around):
    last = 0.0

    def after(self, output, *_):
        output = replace(output, logits=output.logits + 0.1 * self.last)
        self.last = output.logits.mean()
        return output


class BatchNorm(Around):
    def __init__(self, inner):
        super().__init__(inner)
        self.norm = nn.BatchNorm1d(inner.classifier.out_features)

    def after(self, output, *_):
        return replace(output, logits=self.norm(output.logits))


class Clamps(Around):
    def before(self, features):
        return (features.clamp_(-2, 2),)


def head_global_state__seeds(context, *, dropout=0.0):
    torch.manual_seed(0)
    return linear(context, dropout)


def head_global_state__threads(context, *, dropout=0.0):
    torch.set_num_threads(1)
    return linear(context, dropout)


def head_no_reach__writes_a_file(context, *, dropout=0.0):
    with contextlib.suppress(OSError), open("/no-such-folder/zoo-mutant", "w"):
        pass
    return linear(context, dropout)


def head_no_reach__network(context, *, dropout=0.0):
    with socket.socket() as line:
        line.settimeout(0.01)
        line.connect_ex(("127.0.0.1", 9))
    return linear(context, dropout)


class OfThisProcess(Around):
    def __init__(self, inner):
        super().__init__(inner)
        generator = torch.Generator().manual_seed(os.getpid())
        size = inner.classifier.out_features
        self.register_buffer("noise", torch.rand(size, generator=generator), persistent=False)

    def after(self, output, *_):
        return replace(output, logits=output.logits + self.noise)


class FirstViewAlone(Around):
    def before(self, features):
        return (torch.cat([features[:, :1], features[:, 1:].detach()], 1),)


def head_global_state__fast_path(context, *, dropout=0.0):
    torch.backends.mha.set_fastpath_enabled(False)
    return linear(context, dropout)


def head_global_state__flash(context, *, dropout=0.0):
    torch.backends.cuda.enable_flash_sdp(False)
    return linear(context, dropout)


head_fresh__class_attribute = head(SharedCounter)
head_state_dict__plain_attribute = head(PlainAttribute)
head_state_dict__counter = head(Counter)
head_state_dict__plain_list = head(PlainList)
head_modes__deaf_to_eval = head(DeafToEval)
head_modes__counts_in_eval = head(CountsInEval)
head_gradients__none_to_features = head(DetachesFeatures)
head_steps__keeps_the_graph = head(KeepsTheGraph)
head_batch_of_one__batch_norm = head(BatchNorm)
head_in_place__clamps = head(Clamps)
head_elsewhere__process = head(OfThisProcess)
head_gradients__first_view = head(FirstViewAlone)
