"""Checks of losses: terms, ports, targets, weights, coupling, and convex where they say so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - as everyone writes it

from zoo.components import EXTRA_PORTS, OUTPUT_PORTS
from zoo.contracts import HeadOutput
from zoo.testing.hot.comparing import CLOSE, check_finite, near
from zoo.testing.hot.handling import mapped, select
from zoo.testing.hot.rig import LATE, C, Loss, N, normal
from zoo.testing.outcomes import Fault, NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONVEX_TRIES = 6


def _answer(rig: Loss, inputs: tuple[Any, ...], seed: int = 0) -> Tensor:
    """The total that a loss just built gives in training."""
    return rig.total(rig.module().train(), inputs, seed).detach()


def _mixed(target: Tensor) -> Tensor:
    """Distributions `[N, C]` of two classes each, most of it the target's `[N]`."""
    one_hot = F.one_hot(target, C).float()
    return 0.7 * one_hot + 0.3 * one_hot.roll(1, 0)


def _two_batches(rig: Loss) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Classes in the first epoch, and distributions in a later one."""
    yield "", rig.inputs()
    output, batch = rig.inputs(epoch=LATE)
    yield "targets as distributions: ", (output, replace(batch, target=_mixed(batch.target)))


def ports(rig: Loss) -> None:
    """Scalar terms of real numbers, differentiable, by the same names in every batch."""
    for variant in rig.variants:
        module = variant.module().train()
        names = set()
        for seed in (1, 2):
            inputs = variant.inputs(seed=seed)
            for one in variant.leaves(inputs).values():
                one.requires_grad_()
            terms = variant.run(module, inputs)
            names.add(tuple(terms))
            for name, term in terms.items():
                _check_term(variant.title, name, term)
            check_finite(terms, f"{variant.title}of ordinary numbers")
            if not any(term.requires_grad for term in terms.values()):
                raise Fault(f"{variant.title}no term depends on what the head gives")
        if len(names) > 1:
            raise Fault(f"{variant.title}its terms differ from batch to batch: {sorted(names)}")


def _check_term(title: str, name: str, term: Tensor) -> None:
    if term.ndim:
        raise Fault(f"{title}its term {name!r} is {tuple(term.shape)}, not a scalar")
    if term.dtype != torch.float32:
        raise Fault(f"{title}its term {name!r} is {term.dtype}, from float32")
    if not name or not name.isprintable() or name != name.strip():
        raise Fault(f"{title}its term is called {name!r}")


def needs(rig: Loss) -> None:
    """It works on the declared ports alone, and each of them counts."""
    for variant in rig.variants:
        inputs = variant.inputs()
        try:
            usual = _answer(variant, inputs)
        except Exception as error:
            told = f"{type(error).__name__}: {error}".partition("\n")[0]
            with_all = variant.inputs(ports=(*variant.needs, *OUTPUT_PORTS, *EXTRA_PORTS))
            try:
                _answer(variant, with_all)
            except Exception:  # noqa: BLE001 - then it is not for want of a port
                raise error from None
            raise Fault(
                f"{variant.title}it reads a port that it does not declare: {told}"
            ) from error
        if not variant.draws:
            more = variant.inputs(ports=(*variant.needs, *OUTPUT_PORTS, *EXTRA_PORTS))
            if not torch.equal(_answer(variant, more), usual):
                raise Fault(f"{variant.title}it reads a port, where there is one, undeclared")
        for port in variant.needs:
            if torch.equal(_answer(variant, _other(inputs, port)), usual):
                _check_read(rig, port)


def _check_read(rig: Loss, port: str) -> None:
    """A port may go unread where an option switches its term off; never under all values."""
    for variant in rig.variants:
        for epoch in (0, LATE) if port in variant.needs else ():
            inputs = variant.inputs(epoch=epoch)
            if _third(variant, _other(inputs, port)) != _third(variant, inputs):
                return
    raise Fault(f"it declares that it needs {port}, and never reads it")


def _third(rig: Loss, inputs: tuple[Any, ...]) -> float:
    """The total of the third step: a term may ramp up from nothing in the first."""
    module = rig.module().train()
    return [float(rig.total(module, inputs).detach()) for _ in range(3)][-1]


def _other(inputs: tuple[Any, ...], port: str) -> tuple[Any, ...]:
    """The inputs with other numbers in one port."""
    output, batch = inputs
    if port in OUTPUT_PORTS:
        value = getattr(output, port)
        other = value + normal(60, *value.shape)
        return replace(output, **{port: other.tanh() if port == "similarities" else other}), batch
    value = batch.extras[port]
    return output, replace(batch, extras={**batch.extras, port: value + normal(60, *value.shape)})


def context(rig: Loss) -> None:
    """Any number of classes, uneven counts, any width, more views than it asks for."""
    for classes, counts, embedding, steps, more in (
        (2, (1, 1000), 1 + 3, 1, 0),
        (11, (5,) * 11, 9, 10_000, 1),
    ):
        width = embedding if "embeddings" in rig.needs else 0
        other = rig.under(classes=classes, class_counts=counts, embedding=width, steps=steps)
        views = other.fact("views") + more
        try:
            terms = other.run(other.module().train(), other.inputs(views=views))
        except Exception as error:
            sizes = f"C = {classes}, E = {width}, V = {views}, {steps} steps"
            raise Fault(f"for {sizes}: {str(error).partition(chr(10))[0]}") from error
        check_finite(terms, f"for {classes} classes and {views} views")


def targets(rig: Loss) -> None:
    """Class indices, distributions, and batches of one class; one-hot means the index."""
    for variant in rig.variants:
        output, batch = variant.inputs()
        one_hot = F.one_hot(batch.target, C).float()
        alone = torch.zeros_like(batch.target)
        for what, target in (
            ("class indices", batch.target),
            ("one-hot distributions", one_hot),
            ("mixed distributions", _mixed(batch.target)),
            ("one class alone", alone),
        ):
            try:
                total = _answer(variant, (output, replace(batch, target=target)))
            except Exception as error:
                told = f"{type(error).__name__}: {error}".partition("\n")[0]
                raise Fault(f"{variant.title}targets as {what}: {told}") from error
            check_finite({"the loss": total}, f"{variant.title}targets as {what}")
        if not variant.draws:
            usual = _answer(variant, (output, batch))
            if not near(_answer(variant, (output, replace(batch, target=one_hot))), usual, CLOSE):
                raise Fault(f"{variant.title}one-hot distributions are not taken as their classes")


def weights(rig: Loss) -> None:
    """`1/N Σ w_i l_i`; where samples are coupled, a weight changes something at least."""
    for variant in rig.variants:
        if variant.draws:
            continue
        for what, inputs in _two_batches(variant):
            _check_weights(variant, f"{variant.title}{what}", inputs)


def _check_weights(rig: Loss, title: str, inputs: tuple[Any, ...]) -> None:
    usual = _answer(rig, inputs)
    weight = torch.tensor([2.0, 0.5, 1.0, 0.0, 3.0])  # of a mean that is not one
    found = _answer(rig, _weighing(inputs, weight))
    if not near(_answer(rig, _weighing(inputs, torch.ones(N))), usual, CLOSE):
        raise Fault(f"{title}weights of one are not the same as no weights")
    if rig.fact("batch_coupled"):
        if near(found, usual, 1e-6):
            raise Fault(f"{title}it says weighted, and weights change nothing")
        return
    parts = [_answer(rig, select(inputs, [row])) for row in range(N)]
    expected = (weight * torch.stack(parts)).mean()
    if not near(found, expected, CLOSE):
        told = f"{float(found):.5g}, not {float(expected):.5g}"
        raise Fault(f"{title}the weight of a sample does not multiply its part: {told}")


def _weighing(inputs: tuple[Any, ...], weight: Tensor) -> tuple[Any, ...]:
    return inputs[0], replace(inputs[1], weight=weight)


def samples(rig: Loss) -> None:
    """Not coupled: the mean of what the samples give alone. In any case: their order is nothing."""
    chance = True
    for variant in rig.variants:
        if variant.draws:
            continue
        chance = False
        for what, inputs in _two_batches(variant):
            _check_samples(variant, f"{variant.title}{what}", inputs)
    if chance:
        raise NotApplicableError("it draws at random, so no two calls compare")


def _check_samples(rig: Loss, title: str, inputs: tuple[Any, ...]) -> None:
    whole = _answer(rig, inputs)
    if not near(_answer(rig, select(inputs, [3, 0, 4, 2, 1])), whole, CLOSE):
        raise Fault(f"{title}the order of the samples changes the loss")
    if rig.fact("batch_coupled"):
        return
    alone = [_answer(rig, select(inputs, [row])) for row in range(N)]
    mean = torch.stack(alone).mean()
    if not near(whole, mean, CLOSE):
        told = f"{float(whole):.5g}, not {float(mean):.5g}"
        raise Fault(f"{title}it is not the mean over its samples ({told}); is it batch_coupled?")


def extremes(rig: Loss) -> None:
    """A head that starts at zero, and one that is sure, rightly or wrongly."""
    for variant in rig.variants:
        for what, scale in (("undecided logits", 0.0), ("confident logits", 300.0)):
            inputs = variant.inputs(scale=scale)
            leaves = variant.leaves(inputs)
            for one in leaves.values():
                one.requires_grad_()
            terms = variant.run(variant.module().train(), inputs)
            check_finite(terms, f"{variant.title}{what}")
            total = torch.stack([*terms.values()]).sum()
            if total.requires_grad:
                total.backward()
            found = {f"gradient of the {name}": one.grad for name, one in leaves.items()}
            check_finite(found, f"{variant.title}{what}")
        _check_nan(variant)


def _check_nan(rig: Loss) -> None:
    """A head that diverged must be seen to have."""
    output, batch = rig.inputs()
    broken = mapped((output,), lambda one: one * torch.nan)[0]
    try:
        found = _answer(rig, (broken, batch))
    except Exception:  # noqa: BLE001 - seen as well
        return
    if bool(found.isfinite()):
        raise Fault(f"{rig.title}of outputs that are no numbers it gives {float(found):.4g}")


def total(rig: Loss) -> None:
    """What is trained is the sum of the terms: a figure to be read, or a sum, is none of them."""
    for variant in rig.variants:
        seen: list[dict[str, float]] = []
        idle: list[set[str]] = []
        for seed, epoch in ((1, 0), (2, LATE)):
            inputs = variant.inputs(seed=seed, epoch=epoch)
            for one in variant.leaves(inputs).values():
                one.requires_grad_()
            terms = variant.run(variant.module().train(), inputs)
            idle.append({name for name, term in terms.items() if not term.requires_grad})
            seen.append({name: float(term.detach()) for name, term in terms.items()})
        for name in sorted(idle[0] & idle[1]):  # a term may begin later than in the first epoch
            off = variant.given and not any(terms[name] for terms in seen)  # by an option
            if not off:
                raise Fault(f"{variant.title}its term {name!r} trains nothing, and is added")
        for name in seen[0] if len(seen[0]) > 1 else ():
            if all(_is_sum_of_others(terms, name) for terms in seen):
                raise Fault(f"{variant.title}its term {name!r} is the sum of the others")


def _is_sum_of_others(terms: dict[str, float], name: str) -> bool:
    others = sum(value for other, value in terms.items() if other != name)
    return abs(terms[name] - others) <= 1e-5 * max(1e-3, abs(others))


def convex(rig: Loss) -> None:
    """Below its chords in the head's outputs, without chance, a mean over samples."""
    for variant in rig.variants:
        if not variant.fact("convex"):
            continue
        if variant.fact("batch_coupled"):
            raise Fault(f"{variant.title}it says convex and batch_coupled, so it is no mean")
        if variant.draws:
            raise Fault(f"{variant.title}it says convex, and draws at random")
        for seed in range(_CONVEX_TRIES):
            _check_chord(variant, seed)
        _check_slope(variant)


def _check_chord(rig: Loss, seed: int) -> None:
    """A chord from here to there, and a short one, where a small wave would show."""
    scale = (1.0, 4.0, 16.0)[seed % 3]
    (one, batch), (other, _) = (
        rig.inputs(seed=each, scale=scale) for each in (1 + seed, 40 + seed)
    )
    batch = replace(batch, target=(batch.target + seed) % C)
    near_by = mapped((one,), lambda port: port + normal(70 + seed, *port.shape))[0]
    for end in (other, near_by):
        middle = HeadOutput(
            **{port: _mean(getattr(one, port), getattr(end, port)) for port in OUTPUT_PORTS}  # type: ignore[bad-argument-type]  # None where a port is withheld
        )
        here, there = (float(_answer(rig, (place, batch))) for place in (one, end))
        found = float(_answer(rig, (middle, batch)))
        if found > (here + there) / 2 + CLOSE * max(1.0, abs(here), abs(there)):
            raise Fault(
                f"{rig.title}it says convex, and between {here:.4g} and {there:.4g} is {found:.4g}"
            )


def _mean(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    return None if one is None or other is None else (one + other) / 2


def _check_slope(rig: Loss) -> None:
    """What is solved for is solved by its gradient: that must be the slope of the value."""
    inputs = rig.inputs()
    leaves = rig.leaves(inputs)
    for one in leaves.values():
        one.requires_grad_()
    rig.total(rig.module().train(), inputs).backward()
    towards = {id(one): normal(80 + place, *one.shape) for place, one in enumerate(leaves.values())}
    slope = sum(
        float((one.grad * towards[id(one)]).sum())
        for one in leaves.values()
        if one.grad is not None
    )
    step = 1e-2

    def moved(by: float) -> float:
        with torch.no_grad():
            away = mapped(
                inputs, lambda one: one + by * towards[id(one)] if id(one) in towards else one
            )
        return float(_answer(rig, away))

    measured = (moved(step) - moved(-step)) / (2 * step)
    if abs(measured - slope) > 0.02 * max(1.0, abs(measured), abs(slope)):
        raise Fault(
            f"{rig.title}its gradient says {slope:.4g} where the value changes by {measured:.4g}"
        )


CHECKS: dict[str, Callable[[Loss], None]] = {
    "ports": ports,
    "needs": needs,
    "context": context,
    "targets": targets,
    "weights": weights,
    "samples": samples,
    "total": total,
    "extremes": extremes,
    "convex": convex,
}
