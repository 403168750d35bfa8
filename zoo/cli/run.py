"""`zoo run`: fine-tune a spec or an entry; `--dry-run` shows the plan instead."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo import encoding
from zoo.cli import console
from zoo.cli.asked import OPTIONS, given, taking
from zoo.errors import UsageError
from zoo.options import spelt, wants
from zoo.settings import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.components import Option
    from zoo.draft import Draft
    from zoo.phases import PhasePlan
    from zoo.progress import Listener


class _Command(click.Command):
    """Its help also names what `--set` and a registry.toml can set."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of settings."""
        del ctx
        with formatter.section("Settings, for --set and registry.toml"):
            formatter.write_dl([(name, _about(one)) for name, one in SETTINGS.items()])
        formatter.write_paragraph()
        formatter.write_text(
            "Options of the components are backbone.KEY, head.KEY and loss.KEY; zoo show NAME tells"
            " which there are."
        )


def _about(setting: Option) -> str:
    """What a setting is for, what it takes, and what it is unless given."""
    default = "" if setting.default is None else f" [{spelt(setting.default)}]"
    return f"{setting.help} ({wants(setting)}){default}"


#: what may be said of a run that is done again
_OF_REPEATS = {"data"}


@click.command("run", cls=_Command)
@click.argument("spec", required=False)
@taking(*OPTIONS)
@click.option("--out", type=click.Path(path_type=Path), help="Run folder [runs/NAME-N].")
@click.option("--deterministic", is_flag=True, help="Only operations that repeat bit for bit.")
@click.option(
    "--observe", multiple=True, metavar="NAME", help="A plugin that shall watch, or NAME/MODULE."
)
@click.option(
    "--from", "repeats", metavar="RUN", help="Do this run again, with all that it was made with."
)
@click.option(
    "--accept-drift", is_flag=True, help="With --from: although something is different now."
)
@click.option("--dry-run", is_flag=True, help="Show the plan and train nothing.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def command(spec: str | None, **options: Any) -> None:  # noqa: ANN401 - click passes what is declared above
    """Fine-tune SPEC (backbone+head+loss, or an entry's name) on labelled images.

    zoo run resnet18+linear+cekl --data ./imgs
    """
    from zoo.cli.progress import listener

    settings = given(options)
    if options["repeats"] is not None:
        _repeat(spec, settings, options)
        return
    if spec is None or options["accept_drift"]:
        raise UsageError(
            "zoo run wants a SPEC." if spec is None else "--accept-drift is for --from RUN alone.",
            hint="For example: zoo run resnet18+linear+cekl --data ./imgs",
        )
    if options["deterministic"]:
        settings["deterministic"] = True
    hears = listener()
    if options["dry_run"]:
        _dry_run(spec, settings, options["registry"], hears, as_json=options["as_json"])
        return
    from zoo.corridor import run

    done = run(
        spec,
        out=options["out"],
        registry_file=options["registry"],
        observe=options["observe"],
        listener=hears,
        settings=settings,
    )
    show(done, as_json=options["as_json"])


def _repeat(spec: str | None, settings: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Do a run again; nothing but where things lie may be said of it."""
    flags = ("deterministic", "dry_run", "registry")
    more = [*sorted({*settings} - _OF_REPEATS), *(one for one in flags if options[one])]
    if spec is not None or more:
        told = ", ".join(filter(None, (spec, *more)))
        raise UsageError(
            f"--from takes all from the run, so there is no place for: {told}.",
            hint="With it stand --data, --out, --observe, --accept-drift and --json.",
        )
    from zoo.cli.progress import listener
    from zoo.replay import repeat

    done = repeat(
        options["repeats"],
        data=settings.get("data"),
        out=options["out"],
        observe=options["observe"],
        accept_drift=options["accept_drift"],
        listener=listener(),
    )
    show(done, as_json=options["as_json"])


def show(done: Any, *, as_json: bool) -> None:  # noqa: ANN401 - a Run, whose room is not imported here
    """Print a finished run."""
    if as_json:
        console.as_json({"folder": str(done.folder), **done.summary})
    else:
        console.result(repr(done))


def _dry_run(
    spec: str,
    settings: dict[str, object],
    registry: Path | None,
    hears: Listener,
    *,
    as_json: bool,
) -> None:
    from zoo.draft import prepare
    from zoo.plan import plan_to_json

    draft = prepare(spec, settings, registry_file=registry, listener=hears)
    if as_json:
        console.as_json({**plan_to_json(draft.plan), "proof": _proof(draft)})
        return
    for line in _lines(draft):
        console.result(line)


def _proof(draft: Draft) -> dict[str, Any]:
    proof = draft.proof
    return {name: getattr(proof, name) for name in type(proof).__slots__}


def _lines(draft: Draft) -> list[str]:
    """The plan in words: what, on what, how, and where each choice comes from."""
    plan, proof, counts = draft.plan, draft.proof, draft.plan.counts
    assert counts is not None  # noqa: S101 - a draft's plan is settled
    trained = proof.head_params + proof.loss_params
    if any(phase.name == "full" for phase in plan.phases):
        trained += proof.backbone_params
    size = f"{plan.preprocess.size[1]}x{plan.preprocess.size[0]} px"
    parameters = f"{proof.backbone_params:,} + {proof.head_params:,} parameters"
    facts = [
        *(
            (one.kind, f"{one.full_name} ({one.plugin} {one.version}): {one.rule}")
            for one in plan.trio
        ),
        ("weights", f"{plan.weights.mode} {plan.weights.file or plan.weights.tag}".rstrip()),
        ("input", f"{size}, {plan.views} view(s) of each image in training"),
        ("model", f"{proof.features} features, {parameters}, {trained:,} of them trained"),
        ("loss", " + ".join(proof.terms)),
        ("left out", ", ".join(proof.unused)),
        ("data", f"{counts.images} training, {counts.val} validation, {counts.test} test images"),
        ("classes", f"{len(counts.classes)}: {', '.join(counts.classes[:12])}"),
        ("device", f"{draft.device.title}, {draft.device.precision}"),
        *(("", reason) for reason in draft.device.reasons),
    ]
    for phase in plan.phases:
        facts += _phase(phase, counts.images)
    facts += [
        ("set", f"{name} = {plan.settings.get(name, '')} ({origin})".replace(" =  ", " "))
        for name, origin in plan.origins.items()
    ]
    facts += [("note", line) for line in draft.notes()]
    return [plan.spec, *(f"  {label:9}{encoding.line(text)}" for label, text in facts if text)]


def _phase(phase: PhasePlan, images: int) -> list[tuple[str, str]]:
    """A phase's numbers, and why those that were decided are what they are."""
    per_epoch = phase.steps_per_epoch(images)
    reasons = [("", f"{name}: {why}") for name, why in phase.reasons.items()]
    if phase.optimizer == "lbfgs":
        solved = f"solved for on all {images} images by L-BFGS, weight decay {phase.weight_decay:g}"
        return [(phase.name, solved), *reasons]
    numbers = (
        f"{phase.epochs} epochs of {per_epoch} steps ({phase.epochs * per_epoch}), batch "
        f"{phase.batch_size}, {phase.optimizer}, lr {phase.lr:g} (head {phase.head_lr:g}), "
        f"weight decay {phase.weight_decay:g}; keeps the {phase.select} epoch"
    )
    return [(phase.name, numbers), *reasons]
