"""A finished run in words: lines for the terminal, and one plain page."""

from __future__ import annotations

import math
from heapq import nlargest
from itertools import islice
from typing import TYPE_CHECKING, Any

from zoo.encoding import html, line
from zoo.files import write_text
from zoo.runfolder import REPORT, SUMMARY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from zoo.runfolder import RunFolder

#: of many classes, so much is on the page: rows by class, a matrix of so many, pairs of a larger
_ROWS, _COLUMNS, _PAIRS = 500, 40, 20
#: settings of a sweep that the terminal is shown, and what came of each
_TRIED = 5
_OUTCOME = ("loss", "top1")
_TITLES = {"val": "validation", "test": "test"}


def lines(summary: Mapping[str, Any], folder: Path) -> list[str]:
    """What to print when a run is over: figures first, then what qualifies them."""
    found = [f"{summary['spec']}"]
    headline = summary["headline"]
    for split in ("test", "val"):
        if summary[split]:
            mark = "the headline: " if split == headline else ""
            found += [f"  {figures(split, summary[split])}", f"    {mark}{_caveat(split, summary)}"]
    if headline is None:
        found.append("  no image was kept for validation: there is no figure")
    found += [f"  {line}" for line in remarks(summary)]
    found += [f"    {line}" for line in _settings_tried(summary)]
    found.append(f"  {_times(summary)}")
    found.append(f"Run folder: {folder}")
    found.append(f"Use it: zoo predict {folder} IMAGE...")
    return [line(one) for one in found]


def figures(split: str, scores: Mapping[str, Any]) -> str:
    """`validation top-1 0.9150 (95 % interval 0.868 to 0.946, n = 200), macro F1 0.9141`."""
    low, high = scores["interval"]
    return (
        f"{_TITLES.get(split, split)} top-1 {scores['top1']:.4f} (95 % interval {low:.3f} to "
        f"{high:.3f}, n = {scores['n']}), macro F1 {scores['macro_f1']:.4f}"
    )


def _caveat(split: str, summary: Mapping[str, Any]) -> str:
    if split == "test":
        return "looked at once, when all was done"
    if summary["train"]["val_used_to_choose"]:
        return "the epoch was chosen by it, so it flatters a little"
    return "nothing was chosen by it"


def remarks(summary: Mapping[str, Any]) -> list[str]:
    """What a reader must know to trust the figures."""
    train = summary["train"]
    said = [f"data: {line}" for line in summary["data"]]
    said += [f"went on although {one}" for one in summary.get("resumed_with", ())]
    if repeats := summary.get("repeats"):
        told = "with what is told below" if repeats["drift"] else "with nothing different"
        said.append(f"repeats {repeats['run']}: {told}")
        said += [f"drift: {line}" for one in repeats["drift"] for line in one.splitlines()]
    frozen = train["frozen"]
    if frozen:
        state = "bit-equal before and after" if frozen["verified"] else "CHANGED"
        said.append(f"frozen backbone: all parameters and buffers {state}")
    if train["left_out"]:
        said.append(
            f"left out of training (the loss never uses it): {', '.join(train['left_out'])}"
        )
    said += [
        f"{phase['name']}: solved for by L-BFGS in {solver['iterations']} iterations, "
        f"weight decay {solver['weight_decay']:.4g}"
        for phase in train["phases"]
        if (solver := phase.get("solver"))
    ]
    sweep = train.get("sweep")
    if sweep and "held_out" in sweep:
        said.append(
            f"sweep: the best of {len(sweep['settings'])} settings on {sweep['held_out']} held-out "
            f"training images{_in_folds(sweep)}, by cross-entropy{_weighted(sweep)}: "
            f"{_setting(sweep['chosen'])}"
        )
    said += [
        f"vacuous: the loss term {name} was zero in every step of the {phase['name']} phase"
        for phase in train["phases"]
        for name in phase["vacuous_terms"]
    ]
    return said


def _in_folds(sweep: Mapping[str, Any]) -> str:
    folds = sweep.get("folds", 1)
    return f" in {folds} folds" if folds > 1 else ""


def _weighted(sweep: Mapping[str, Any]) -> str:
    return " in which each class counts the same" if sweep.get("weighted") else ""


def _setting(setting: Mapping[str, float]) -> str:
    """`lr 0.001, weight_decay 10`, without what came of it."""
    return ", ".join(f"{name} {value:g}" for name, value in setting.items() if name not in _OUTCOME)


def _ranked(summary: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The settings of a sweep, the best first; none where there was nothing to choose."""
    sweep = summary["train"].get("sweep") or {}
    if "held_out" not in sweep:
        return []
    return sorted(
        sweep["settings"], key=lambda one: math.inf if one["loss"] is None else one["loss"]
    )


def _settings_tried(summary: Mapping[str, Any]) -> list[str]:
    """The best settings of a sweep, a line each."""
    found = _ranked(summary)
    told = [f"{_setting(one)}: {_judgement(one)}" for one in found[:_TRIED]]
    more = len(found) - len(told)
    return [*told, *([f"and {more} more, in {SUMMARY}"] if more else [])]


def _judgement(setting: Mapping[str, Any]) -> str:
    if setting["loss"] is None:
        return "no finite answers"
    return f"held-out loss {setting['loss']:.4f}, top-1 {setting['top1']:.4f}"


def _sweep(summary: Mapping[str, Any]) -> str:
    """The settings of a sweep as a table, the best first."""
    found = _ranked(summary)
    if not found:
        return ""
    rows = "".join(
        f"<tr><td>{html(_setting(one))}</td>"
        + (
            f"<td>{one['loss']:.4f}</td><td>{one['top1']:.4f}</td></tr>"
            if one["loss"] is not None
            else "<td>not finite</td><td></td></tr>"
        )
        for one in found
    )
    heads = "<tr><th>setting</th><th>held-out loss</th><th>held-out top-1</th></tr>"
    return f"<h2>Settings tried</h2><table>{heads}{rows}</table>"


def _times(summary: Mapping[str, Any]) -> str:
    seconds = dict(summary["seconds"])
    total = seconds.pop("total")
    parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    return f"{total:.1f} s in all ({parts}) on {summary['device']['title']}"


def write(folder: RunFolder, summary: Mapping[str, Any]) -> None:
    """Write report.html: self-contained, nothing but what summary.json says."""
    body = "\n".join(_sections(summary, folder.path))
    title = html(f"zoo: {summary['spec']}")
    page = (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8">{_POLICY}<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"
    )
    write_text(folder.place / REPORT, page)


#: what the page may load: the style that stands in it, and nothing else
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'\">"
)
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .6rem;border:1px solid #ccc;"
    "text-align:right}th:first-child,td:first-child{text-align:left}"
)


def _sections(summary: Mapping[str, Any], folder: Path) -> Iterator[str]:
    yield "".join(f"<p>{html(one)}</p>" for one in lines(summary, folder)[1:-2])
    yield _sweep(summary)
    for split in ("test", "val"):
        if summary[split]:
            yield f"<h2>{_TITLES[split].capitalize()}</h2>"
            yield _per_class(summary[split])
            yield _mistakes(summary[split], summary["classes"])


def _per_class(scores: Mapping[str, Any]) -> str:
    found = scores["per_class"]
    rows = "".join(
        f"<tr><td>{html(name)}</td><td>{one['n']}</td><td>{one['precision']:.3f}</td>"
        f"<td>{one['recall']:.3f}</td><td>{one['f1']:.3f}</td></tr>"
        for name, one in islice(found.items(), _ROWS)
    )
    heads = "<tr><th>class</th><th>images</th><th>precision</th><th>recall</th><th>F1</th></tr>"
    more = f"<p>The first {_ROWS} of {len(found)} classes; all of them are in {SUMMARY}.</p>"
    return f"<table>{heads}{rows}</table>{more if len(found) > _ROWS else ''}"


def _mistakes(scores: Mapping[str, Any], classes: list[str]) -> str:
    """The confusion matrix, or of a large one its largest cells off the diagonal."""
    matrix = scores["confusion"]
    if matrix is None:
        return f"<p>The confusion matrix of {len(classes)} classes is not kept.</p>"
    if len(classes) <= _COLUMNS:
        return _confusion(matrix, classes)
    cells = ((count, i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if i != j)
    most = [cell for cell in nlargest(_PAIRS, cells) if cell[0]]
    rows = "".join(
        f"<tr><td>{html(classes[i])}</td><td>{html(classes[j])}</td><td>{count}</td></tr>"
        for count, i, j in most
    )
    heads = "<tr><th>true class</th><th>answered</th><th>images</th></tr>"
    title = f"<h3>The {len(most)} most frequent mistakes (all of them are in {SUMMARY})</h3>"
    return f"{title}<table>{heads}{rows}</table>"


def _confusion(matrix: list[list[int]], classes: list[str]) -> str:
    head = "".join(f"<th>{html(name)}</th>" for name in classes)
    rows = "".join(
        f"<tr><td>{html(name)}</td>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for name, row in zip(classes, matrix, strict=True)
    )
    return f"<h3>Confusion (rows: true class)</h3><table><tr><th></th>{head}</tr>{rows}</table>"
