"""Checks of backbones, heads and losses alike. Each raises a `Fault` that says what is wrong."""

from __future__ import annotations

import inspect
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.components import OUTPUT_PORTS
from zoo.contracts import Batch, HeadOutput
from zoo.options import read
from zoo.testing import audit, state
from zoo.testing.hot.rig import (
    Backbone,
    Fault,
    Head,
    Loss,
    NotApplicableError,
    Outputs,
    Rig,
    check_equal,
    check_finite,
    near,
    normal,
    scale_of,
    seed_all,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from zoo.components import Value

#: checks that are called with the case as well
OF_A_CASE = frozenset({"builds", "option-effect"})
#: parameters of a head beyond which a value of an option is tried on the meta device alone
_HEAVY = 20_000_000
#: what two computations of one thing may differ by, as a share of the greatest number
CLOSE = 2e-4
#: what a computation in bfloat16 may be off by, likewise
ROUGH = 0.06
UNKNOWN = "zoo_no_such_option"


# --- what it does to the process ---


def _traces(rig: Rig) -> tuple[list[str], list[str]]:
    """What importing, building and using changed of the process, and what it reached for."""
    known = rig.__dict__.get("traces")
    if known is not None:
        return known  # type: ignore[no-any-return]
    changed: list[str] = []
    seed_all(0, 0)
    inputs = rig.inputs()
    with audit.listening() as reached:
        for stage, work in _stages(rig, inputs):
            before = state.snapshot()
            try:
                work()
            finally:
                changed += [
                    f"{stage}: {words}" for words in state.changes(before, state.snapshot())
                ]
                state.restore(before)
    rig.__dict__["traces"] = changed, reached
    return changed, reached


def _stages(rig: Rig, inputs: tuple[Any, ...]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Import, build, train, predict; not through the host, which would put things back."""
    module, _, attribute = rig.component.target.partition(":")
    made: list[Any] = []
    yield "importing it", lambda: import_module(module)
    target = getattr(import_module(module), attribute)
    yield "building it", lambda: made.append(target(rig.first(), **rig.options))
    yield "training with it", lambda: made[0].train()(*inputs)
    yield "predicting with it", lambda: made[0].eval()(*inputs)


def global_state(rig: Rig) -> None:
    """Nothing of the process is another."""
    changed, _ = _traces(rig)
    if changed:
        raise Fault("; ".join(changed[:4]))


def no_reach(rig: Rig) -> None:
    """No network, no files, no programs: weights are the host's business."""
    _, reached = _traces(rig)
    if reached:
        raise Fault("; ".join(reached[:4]))


# --- how it is called ---


def target(rig: Rig) -> None:
    """It is there, and what it requires is installed."""
    rig.target()


def signature(rig: Rig) -> None:
    """The options are its keywords, and nothing else is."""
    called = rig.target()
    try:
        parameters = [*inspect.signature(called).parameters.values()]
    except (TypeError, ValueError) as error:
        raise NotApplicableError(f"its signature cannot be read: {error}") from error
    kinds = inspect.Parameter
    first = parameters[:1]
    if not first or first[0].kind in (kinds.KEYWORD_ONLY, kinds.VAR_KEYWORD):
        raise Fault(f"it cannot be called with its {_first_of(rig)} alone: {called!r:.80}")
    named = {one.name: one for one in parameters[1:]}
    takes_any = any(one.kind is kinds.VAR_KEYWORD for one in parameters)
    declared = (rig.declared or rig.component).options
    for name, option in declared.items():
        if name not in named:
            if takes_any:
                continue  # how it deals with them is for `builds` and `unknown-option`
            raise Fault(f"it has no keyword {name!r}, which is a declared option")
        _check_keyword(name, named[name], option.default)
    for name, one in named.items():
        if name in rig.component.options or one.kind in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL):
            continue
        if one.default is kinds.empty:
            raise Fault(f"it needs {name!r}, which is no declared option")
        if not isinstance(called, partial):  # made of a function that other components share
            raise Fault(f"it takes {name!r}, which is no declared option: nobody can set it")


def _first_of(rig: Rig) -> str:
    return "weights" if isinstance(rig, Backbone) else "context"


def _check_keyword(name: str, one: inspect.Parameter, declared: Value | None) -> None:
    if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY):
        raise Fault(f"its option {name!r} is no keyword")
    if one.default is one.empty:
        raise Fault(f"its keyword {name!r} has no default; {declared!r} is declared")
    if declared is None:
        return  # what is not given is the target's own to choose
    same = one.default == declared and isinstance(one.default, bool) == isinstance(declared, bool)
    if not same:
        raise Fault(f"its keyword {name!r} is {one.default!r} by default; {declared!r} is declared")


def unknown_option(rig: Rig) -> None:
    """A typing mistake in the plugin's own schema must not pass unnoticed."""
    device = "meta" if isinstance(rig, Backbone) else "cpu"
    try:
        with state.kept(), torch.device(device):
            rig.call_target(**{UNKNOWN: 1})
    except Exception:  # noqa: BLE001 - whichever way it refuses
        return
    raise Fault(f"it accepts {UNKNOWN}=1, which it does not declare")


def builds(rig: Rig, case: str) -> None:
    """It builds under the defaults, or with one option at an edge, and gives ordinary numbers."""
    if case:
        name, _, text = case.partition("=")
        value = read(rig.component.options[name], "" if text == "''" else text)
        rig = rig.under({name: value})
    if isinstance(rig, Backbone) and case:
        _on_meta(rig)
        return
    if isinstance(rig, Head) and _size(_on_meta(rig)) > _HEAVY:
        return
    module = rig.stir(rig.module())
    for training in (True, False):
        outputs = rig.run(module.train(training), rig.inputs())
        check_finite(outputs, f"{rig.title}in {'training' if training else 'evaluation'}")


def _size(module: nn.Module) -> int:
    return sum(one.numel() for one in module.parameters())


def _on_meta(rig: Rig) -> nn.Module:
    """The module on the meta device, and its outputs there.

    Raises:
        Fault: a part of it, or what it gives, is on another device.
    """
    with torch.device("meta"), torch.no_grad():
        module = rig.build().eval()
    elsewhere = [
        name
        for name, one in (*module.named_parameters(), *module.named_buffers())
        if not one.is_meta
    ]
    if elsewhere:
        raise Fault(f"{rig.title}built on the meta device, it has {elsewhere[0]} elsewhere")
    with torch.no_grad():
        outputs = rig.run(module, tuple(one.to("meta") for one in rig.inputs()))
    for name, one in outputs.items():
        if not one.is_meta:
            raise Fault(f"{rig.title}on the meta device, it gives {name} on {one.device}")
    return module


def meta(rig: Rig) -> None:
    """The host proves shapes there, without memory."""
    _on_meta(rig)


# --- options ---


def option_effect(rig: Rig, case: str) -> None:
    """Some value of the option changes something, if need be together with another option."""
    option = rig.component.options[case]
    tried = _candidates(rig, case)
    if not tried:
        raise NotApplicableError(f"no other value of {case} can be made up")
    others: list[dict[str, Value]] = [{}]
    for name, other in rig.component.options.items():
        if name != case and (other.choices or other.type == "bool"):
            values = other.choices or (False, True)
            others += [{name: value} for value in values if value != other.default]
    for surroundings in others:
        start = _behaviour(rig.under(surroundings))
        for value in tried:
            if _differ(start, _behaviour(rig.under({**surroundings, case: value}))):
                return
    del option
    shown = ", ".join(map(repr, tried))
    raise Fault(f"nothing changes, whatever {case} is ({shown})")


def _candidates(rig: Rig, name: str) -> list[Value]:
    from zoo.testing.planned import values

    option = rig.component.options[name]
    found = values(option)
    between = {"int": (1, 2, 3, 5, 64), "float": (0.1, 0.3, 0.5, 0.9, 2.0)}.get(option.type, ())
    low = float("-inf") if option.minimum is None else option.minimum
    high = float("inf") if option.maximum is None else option.maximum
    if not option.choices:
        found += [one for one in between if low <= one <= high and one != option.default]
    return found


def _behaviour(rig: Rig) -> object:
    """What can be seen of a component under these options; None where it does not build."""
    try:
        if isinstance(rig, Backbone):
            with torch.device("meta"):
                module = rig.build()
            return [_structure(module)]
        if isinstance(rig, Head) and _size(_on_meta(rig)) > _HEAVY:
            return None
        module = rig.stir(rig.module())
        found: list[object] = [{name: one.shape for name, one in module.state_dict().items()}]
        for seed, epoch, training in ((1, 0, True), (2, 1, True), (3, 50, True), (1, 0, False)):
            for size in {} if isinstance(rig, Head) else {"scale": 1.0}, {"scale": 5.0}:
                inputs = rig.inputs(seed=seed, epoch=epoch, **size)
                found.append(rig.run(module.train(training), inputs))
        return found
    except Exception:  # noqa: BLE001 - whether it builds is another check
        return None


def _structure(module: nn.Module) -> list[object]:
    """Layers, shapes, and the plain numbers that they keep."""
    plain = (bool, int, float, str, tuple)
    return [
        repr(module),
        {name: one.shape for name, one in module.state_dict().items()},
        [
            {key: value for key, value in vars(one).items() if isinstance(value, plain)}
            for one in module.modules()
        ],
    ]


def _differ(one: object, other: object) -> bool:
    if one is None or other is None:
        return one is not other
    assert isinstance(one, list)  # noqa: S101 - for the type checker
    assert isinstance(other, list)  # noqa: S101 - likewise
    return any(_unlike(a, b) for a, b in zip(one, other, strict=True))


def _unlike(one: object, other: object) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one != other
    if one.keys() != other.keys():
        return True
    return any(
        not torch.equal(value, other[key]) if isinstance(value, Tensor) else value != other[key]
        for key, value in one.items()
    )


# --- state and randomness ---


def _twins(rig: Rig) -> tuple[nn.Module, nn.Module]:
    """Two modules, each built anew under one seed of torch's and different ones elsewhere."""
    known = rig.__dict__.get("twins")
    if known is None:
        known = rig.__dict__["twins"] = rig.build(0, 1), rig.build(0, 2)
    return known  # type: ignore[no-any-return]


def _state(module: nn.Module) -> Outputs:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def fresh(rig: Rig) -> None:
    """What one does, another knows nothing of."""
    one, other = _twins(rig)
    if one is other:
        raise Fault("it gives the same module twice")
    places = [
        {part.untyped_storage().data_ptr() for part in _state(module).values() if part.numel()}
        for module in (one, other)
    ]
    if (places[0] & places[1]) - {0}:
        raise Fault("two builds share tensors")
    if isinstance(rig, Backbone):
        return
    first = rig.run(rig.module().train(), rig.inputs())
    used = rig.module().train()
    for seed in (2, 3):
        rig.run(used, rig.inputs(seed=seed))
    check_equal(rig.run(rig.module().train(), rig.inputs()), first, "after another was used")


def seed(rig: Rig) -> None:
    """Start and draws are decided by torch's seed alone."""
    one, other = _twins(rig)
    check_equal(_state(one), _state(other), "two builds under one seed")
    inputs = rig.inputs()
    for training in (False, True):
        outputs = []
        for others in (1, 2):
            module = rig.module().train(training)
            with state.kept():
                seed_all(5, others)
                outputs.append(rig.named(module(*inputs)))
        check_equal(*outputs, f"two calls under one seed (training: {training})")


def state_dict(rig: Rig) -> None:
    """Saved, loaded into another, it answers as before, to the bit."""
    from safetensors.torch import load, save

    used, other = rig.stir(rig.module(0)).train(), rig.module(1).train()
    for each in (2, 3):
        rig.run(used, rig.inputs(seed=each))
    saved = used.state_dict()
    strange = [name for name, value in saved.items() if not isinstance(value, Tensor)]
    if strange:
        raise Fault(f"its state dict holds {strange[0]}, which is no tensor")
    saved = {name: value.detach().clone().contiguous() for name, value in saved.items()}
    check_finite({name: one for name, one in saved.items() if one.is_floating_point()}, "its state")
    other.load_state_dict(load(save(saved)))
    for training in (False, True):
        answers = [rig.run(one.train(training), rig.inputs(seed=4), 9) for one in (used, other)]
        check_equal(*answers, f"after loading its state dict (training: {training})")


def modes(rig: Rig) -> None:
    """Training and evaluation, and what the latter must not do."""
    module = rig.stir(rig.module())
    for training in (True, False):
        given = module.train() if training else module.eval()
        if given is not module:
            raise Fault(f"its {'train' if training else 'eval'}() does not give the module back")
        if any(part.training is not training for part in module.modules()):
            raise Fault(f"a part of it does not follow {'train' if training else 'eval'}()")
    inputs = rig.inputs()
    before = {name: one.detach().clone() for name, one in _state(module.eval()).items()}
    with state.kept():
        seed_all(1, 1)
        drawn = torch.get_rng_state()
        first = rig.named(module(*inputs))
        if not torch.equal(drawn, torch.get_rng_state()):
            raise Fault("in eval it draws at random")
        second = rig.named(module(*inputs))
    check_equal(first, second, "two calls in eval")
    check_equal(_state(module), before, "its state after predicting")
    rig.run(module.train(), inputs)
    parameters = dict(module.named_parameters())
    check_equal(
        parameters, {name: before[name] for name in parameters}, "its parameters after one call"
    )


# --- gradients ---


def _weighted_sum(outputs: Outputs) -> Tensor:
    """One number that every output has a part in."""
    parts = [
        (one.float() * (1 if one.ndim == 0 else normal(90 + place, *one.shape))).sum()
        for place, (_, one) in enumerate(sorted(outputs.items()))
    ]
    return torch.stack(parts).sum()


def gradients(rig: Rig) -> None:
    """They are finite, and there wherever the outputs depend on something that can be trained."""
    for variant in [rig] if isinstance(rig, Backbone) else rig.variants():
        if not isinstance(variant, Head) or _size(_on_meta(variant)) <= _HEAVY:
            _check_gradients(variant)


def _check_gradients(rig: Rig) -> None:
    module = rig.stir(rig.module()).train()
    inputs = rig.inputs()
    leaves = rig.leaves(inputs)
    for one in leaves.values():
        one.requires_grad_()
    kept = {name: one.detach().clone() for name, one in module.named_buffers()}
    total = _weighted_sum(rig.run(module, inputs))
    if not total.requires_grad:
        raise Fault(f"{rig.title}nothing that can be trained leads to its outputs")
    trained = {name: one for name, one in module.named_parameters() if one.requires_grad}
    wanted = {**trained, **{f"the {name}": one for name, one in leaves.items()}}
    found = dict(
        zip(
            wanted,
            torch.autograd.grad(total, [*wanted.values()], allow_unused=True),
            strict=True,
        )
    )
    check_finite(found, f"{rig.title}the gradient")
    silent = [name for name in trained if found[name] is None or not bool(found[name].any())]
    if silent and _moves(rig, module, kept, inputs, [trained[name] for name in silent], total):
        shown = ", ".join(silent[:3])
        raise Fault(f"{rig.title}outputs depend on {shown}, and no gradient goes there")
    reached = [name for name in leaves if found[f"the {name}"] is not None]
    rows = {name for name in reached if bool(found[f"the {name}"].any())}  # type: ignore[missing-attribute]  # not None
    if leaves and not rows & {"features", "logits", "view_logits", "similarities"}:
        raise Fault(f"{rig.title}no gradient goes back to {' or '.join(leaves)}")


def _moves(
    rig: Rig,
    module: nn.Module,
    buffers: Mapping[str, Tensor],
    inputs: tuple[Any, ...],
    parameters: list[nn.Parameter],
    total: Tensor,
) -> bool:
    """Whether the outputs change when these parameters do, by little."""
    with torch.no_grad():
        for name, one in module.named_buffers():
            one.copy_(buffers[name])
        for place, one in enumerate(parameters):
            one.add_(1e-2 * (1 + one.abs()) * normal(70 + place, *one.shape))
        moved = _weighted_sum(rig.run(module, inputs))
    return not near(moved, total, 1e-5)


def steps(rig: Rig) -> None:
    """Forward, backward, step: as often as one likes."""
    module = rig.module().train()
    trained = [one for one in module.parameters() if one.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=1e-3) if trained else None
    for each in range(2 if isinstance(rig, Backbone) else 4):
        inputs = rig.inputs(seed=each, epoch=each)
        for one in rig.leaves(inputs).values():
            one.requires_grad_()
        outputs = rig.run(module, inputs, seed=each)
        check_finite(outputs, f"in step {each}")
        total = _weighted_sum(outputs)
        if not total.requires_grad:
            raise Fault(f"in step {each} nothing that can be trained leads to its outputs")
        total.backward()
        check_finite(
            {name: one.grad for name, one in module.named_parameters()}, f"gradient of step {each}"
        )
        if optimiser:
            optimiser.step()
            optimiser.zero_grad()


# --- batches, precision, places ---


def batch_of_one(rig: Rig) -> None:
    """The last batch of an epoch, and most predictions."""
    for variant in [rig] if isinstance(rig, Backbone) else rig.variants():
        if isinstance(variant, Head) and _size(_on_meta(variant)) > _HEAVY:
            continue
        module = variant.stir(variant.module())
        for training in (True, False):
            outputs = variant.run(module.train(training), variant.inputs(1))
            check_finite(outputs, f"{variant.title}of one image (training: {training})")
            if any(len(one) != 1 for one in outputs.values() if one.ndim):
                raise Fault(f"{variant.title}of one image it gives another number of rows")


def autocast(rig: Rig) -> None:
    """In bfloat16 it runs, and stays near what it gives in float32."""
    module = rig.stir(rig.module()).train()
    buffers = {name: one.detach().clone() for name, one in module.named_buffers()}
    inputs = rig.inputs()
    if isinstance(rig, Loss):  # what a head under autocast hands it
        inputs = mapped(inputs, lambda one: one.bfloat16() if one.is_floating_point() else one)
        exact = rig.run(
            module, mapped(inputs, lambda one: one.float() if one.is_floating_point() else one)
        )
    else:
        exact = rig.run(module, inputs)
    with torch.no_grad():
        for name, one in module.named_buffers():
            one.copy_(buffers[name])
    leaves = rig.leaves(inputs)
    for one in leaves.values():
        one.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = rig.run(module, inputs)
    check_finite(rough, "in bfloat16")
    tolerance = 0.3 if isinstance(rig, Backbone) else ROUGH
    for name, one in exact.items():
        if name not in rough:
            raise Fault(f"in bfloat16 there is no {name}")
        off = (rough[name].detach().float() - one.detach()).square().mean().sqrt()
        if float(off) > tolerance * scale_of(one):
            raise Fault(f"in bfloat16 {name} is off by {float(off):.3g} (of {scale_of(one):.3g})")
    total = _weighted_sum(rough)
    if total.requires_grad:
        total.backward()
        check_finite({name: one.grad for name, one in leaves.items()}, "gradient in bfloat16")


def in_place(rig: Rig) -> None:
    """What it is given belongs to others."""
    module = rig.module()
    for training in (True, False):
        inputs = rig.inputs(**({"weight": torch.ones(5)} if isinstance(rig, Loss) else {}))
        tensors = rig.tensors(inputs)
        before = {name: (one.clone(), one._version) for name, one in tensors.items()}  # noqa: SLF001 - no other way to tell
        extras = dict(inputs[1].extras) if isinstance(rig, Loss) else {}
        with torch.no_grad():
            rig.run(module.train(training), inputs)
        for name, one in tensors.items():
            value, version = before[name]
            if one._version != version or not torch.equal(one, value):  # noqa: SLF001 - see above
                raise Fault(f"it writes into the {name} that it is given")
        if isinstance(rig, Loss) and dict(inputs[1].extras) != extras:
            raise Fault("it changes the extras that it is given")


def device(rig: Rig) -> None:
    """Tensors that it makes or keeps follow the input: tried on a GPU that is only pretended."""
    from torch._subclasses.fake_tensor import (
        DataDependentOutputException,
        DynamicOutputShapeException,
        FakeTensorMode,
        UnsupportedOperatorException,
    )

    asks = DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException
    module, inputs = rig.module(), rig.inputs()
    with FakeTensorMode(allow_non_fake_inputs=True):
        for part in module.modules():
            for held, wrap in ((part._parameters, nn.Parameter), (part._buffers, lambda one: one)):  # noqa: SLF001 - to() of pretended tensors
                for name, one in held.items():
                    if one is not None:
                        held[name] = wrap(_pretended(one))
        try:
            with torch.no_grad():
                outputs = rig.run(module, mapped(inputs, _pretended))
        except asks as error:
            raise NotApplicableError(
                f"it looks at numbers, which are pretended: {error}"
            ) from error
        strays = [name for name, one in outputs.items() if one.device.type != "cuda"]
    if strays:
        raise Fault(f"on a GPU it gives {strays[0]} elsewhere")


def _pretended(one: Tensor) -> Tensor:
    return torch.empty(one.shape, dtype=one.dtype, device="cuda")


def mapped(inputs: tuple[Any, ...], change: Callable[[Tensor], Tensor]) -> tuple[Any, ...]:
    """Inputs with each of their tensors changed."""

    def each(one: object) -> Any:  # noqa: ANN401 - as it came
        if isinstance(one, Tensor):
            return change(one)
        if isinstance(one, HeadOutput):
            return HeadOutput(**{port: each(getattr(one, port)) for port in OUTPUT_PORTS})
        if isinstance(one, Batch):
            extras = {name: each(value) for name, value in one.extras.items()}
            return Batch(each(one.target), each(one.samples), one.epoch, each(one.weight), extras)
        return one

    return tuple(each(one) for one in inputs)


def select(inputs: tuple[Any, ...], rows: list[int]) -> tuple[Any, ...]:
    """Inputs of these samples alone."""
    return mapped(inputs, lambda one: one[rows])


def independence(rig: Rig) -> None:
    """In eval, an image alone, and in any order, is answered as in its batch."""
    module = rig.stir(rig.module()).eval()
    inputs = rig.inputs(3)
    with torch.no_grad():
        whole = rig.run(module, inputs)
        for rows in ([0], [2], [2, 0, 1]):
            part = rig.run(module, select(inputs, rows))
            expected = {name: one[rows] for name, one in whole.items()}
            for name, one in part.items():
                if name not in expected or not near(one, expected[name], CLOSE):
                    raise Fault(f"{name} of an image depends on the others of its batch")


CHECKS: dict[str, Callable[..., None]] = {
    "global-state": global_state,
    "no-reach": no_reach,
    "target": target,
    "signature": signature,
    "unknown-option": unknown_option,
    "builds": builds,
    "option-effect": option_effect,
    "meta": meta,
    "fresh": fresh,
    "seed": seed,
    "state-dict": state_dict,
    "modes": modes,
    "gradients": gradients,
    "steps": steps,
    "batch-of-one": batch_of_one,
    "autocast": autocast,
    "in-place": in_place,
    "device": device,
    "independence": independence,
}
