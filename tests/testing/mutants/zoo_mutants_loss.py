"""What each mutant of the loss does otherwise than the one that it is made of."""

from __future__ import annotations

from dataclasses import replace

import torch
import zoo_losses.ce
from torch.nn import functional as F
from zoo_mutants_around import Around, named


def loss(mutant):
    def build(context, *, smoothing=0.0):
        return mutant(zoo_losses.ce.build(context, label_smoothing=smoothing))

    return build


def loss_of(after):
    """A builder of the loss with a function over its terms, the output and the batch."""
    return loss(named(after))


loss_control = loss_of(lambda terms, *_: terms)
loss_ports__vector = loss_of(lambda terms, *_: {"ce": terms["ce"][None]})
loss_ports__names_vary = loss_of(
    lambda terms, _, batch: {f"ce{int(batch.samples[0])}": terms["ce"]}
)
loss_needs__undeclared = loss_of(
    lambda terms, output, _: {"ce": terms["ce"] + output.view_logits.square().mean()}
)
loss_needs__unread = loss_control
loss_needs__if_there = loss_of(
    lambda terms, output, batch: (
        terms
        if "teacher_logits" not in batch.extras
        else {"ce": terms["ce"] + (output.logits - batch.extras["teacher_logits"]).square().mean()}
    )
)
loss_context__three_classes = loss_of(
    lambda terms, output, _: {"ce": terms["ce"] + 0 * output.logits[:, 2].mean()}
)
loss_weights__deaf = loss_of(
    lambda terms, output, batch: {"ce": F.cross_entropy(output.logits, batch.target)}
)
loss_weights__divides = loss_of(
    lambda terms, _, batch: (
        terms if batch.weight is None else {"ce": terms["ce"] / batch.weight.mean()}
    )
)
loss_samples__sums = loss_of(lambda terms, output, _: {"ce": terms["ce"] * len(output.logits)})
loss_samples__coupled = loss_of(
    lambda terms, output, _: {"ce": terms["ce"] + output.logits.softmax(-1).mean(0).square().sum()}
)
loss_samples__ordered = loss_of(
    lambda terms, output, _: {
        "ce": terms["ce"] + (output.logits - output.logits.roll(1, 0)).abs().mean()
    }
)
loss_total__accuracy = loss_of(
    lambda terms, output, batch: {
        **terms,
        "accuracy": (output.logits.argmax(-1) == 0).float().mean(),
    }
)
loss_total__twice = loss_of(lambda terms, *_: {**terms, "total": terms["ce"]})
loss_extremes__log_of_softmax = loss_of(
    lambda terms, output, batch: {"ce": terms["ce"] - 0.1 * output.logits.softmax(-1).log().mean()}
)
loss_extremes__hides_nan = loss_of(lambda terms, *_: {"ce": terms["ce"].nan_to_num()})
loss_convex__wave = loss_of(
    lambda terms, output, batch: {"ce": terms["ce"] + 3 * output.logits.sin().mean()}
)


class IndicesOnly(Around):
    def before(self, output, batch):
        return output, replace(batch, target=batch.target.long()) if (
            batch.target.ndim == 1
        ) else replace(batch, target=batch.target.round().long().argmin(-1))


class Memory(Around):
    last = 0.0

    def after(self, terms, output, batch):
        total = terms["ce"] + 0.1 * self.last
        self.last = total
        return {"ce": total}


class Kept(Around):
    def after(self, terms, output, batch):
        self.last = terms["ce"]
        return terms


class Queue(Around):
    def __init__(self, inner):
        super().__init__(inner)
        self.seen = []

    def after(self, terms, output, batch):
        self.seen = [*self.seen[-9:], output.logits]
        return terms


def shared(output):
    """A term that couples the samples."""
    return output.logits.softmax(-1).mean(0).square().sum()


loss_weights__deaf_to_shares = loss_of(
    lambda terms, output, batch: (
        terms if batch.target.ndim == 1 else {"ce": F.cross_entropy(output.logits, batch.target)}
    )
)
loss_samples__coupled_shares = loss_of(
    lambda terms, output, batch: (
        terms if batch.target.ndim == 1 else {"ce": terms["ce"] + shared(output)}
    )
)
loss_samples__coupled_later = loss_of(
    lambda terms, output, batch: {"ce": terms["ce"] + min(1, batch.epoch / 10) * shared(output)}
)


class LooseParameter(Around):
    def __init__(self, inner):
        super().__init__(inner)
        self.temperature = torch.ones((), requires_grad=True)

    def before(self, output, batch):
        return replace(output, logits=output.logits * self.temperature), batch


class Cools(Around):
    def before(self, output, batch):
        with torch.no_grad():
            output.logits.data.mul_(0.5)
        return output, batch


loss_targets__indices_only = loss(IndicesOnly)
loss_steps__memory = loss(Memory)
loss_graphs__kept = loss(Kept)
loss_graphs__queue = loss(Queue)
loss_state_dict__loose_parameter = loss(LooseParameter)
loss_in_place__cools = loss(Cools)
