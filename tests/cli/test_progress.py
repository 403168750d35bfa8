from __future__ import annotations

import io

import pytest
from rich.console import Console

from zoo.cli.progress import Bars, listener
from zoo.history import EpochRecord
from zoo.progress import Lines, describe, duration


def record(phase: str, epoch: int, top1: float | None = 0.5) -> EpochRecord:
    return EpochRecord(
        phase=phase,
        epoch=epoch,
        step=epoch,
        loss=1.25,
        terms={"ce": 1.0, "kl": 0.25},
        top1=top1,
        macro_f1=top1,
        lr=0.1,
        images_per_second=1234.0,
        seconds=1.0,
    )


def told(hears: Lines | Bars) -> None:
    """A short run, as the corridor tells it."""
    hears.begin("decode", 4, "images")
    for _ in range(4):
        hears.advance(1)
    hears.end()
    hears.note("data: [bold]one[/bold] \x1b[2J note")
    for epoch in (1, 2):
        hears.epoch(record("probe", epoch), 2)
    hears.end()
    hears.begin("full", 8, "images")
    for _ in range(2):
        hears.advance(4, loss=0.75)
        hears.epoch(record("full", 1), 1)
    hears.end()
    hears.end()


def test_bars_show_stages_epochs_and_notes() -> None:
    text = io.StringIO()
    told(Bars(Console(file=text, force_terminal=True, width=160)))
    shown = text.getvalue()
    for words in ("decode", "4/4", "probe", "2/2", "loss 1.250", "full", "8/8", "val top-1 0.5000"):
        assert words in shown
    assert "loss 0.750" in shown
    assert "data: [bold]one[/bold] \\x1b[2J note" in shown
    assert "\x1b[2J" not in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # the cursor comes back


def test_lines_are_plain_and_few(capsys: pytest.CaptureFixture[str]) -> None:
    told(Lines())
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0].startswith("decode: 4 images, ")
    assert "probe 2/2  loss 1.2500 (ce 1.000 kl 0.250)  val top-1 0.5000  macro F1 0.5000" in err
    assert sum(line.startswith("probe") for line in lines) <= 2
    assert "data: [bold]one[/bold] \\x1b[2J note" in lines


def test_a_long_stage_tells_its_rate_and_the_time_left_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("zoo.progress.time.monotonic", lambda: now)
    lines = Lines()
    lines.begin("features", 1000, "images")
    for _ in range(25):  # seconds
        now += 1
        lines.advance(20)
    lines.end()
    assert capsys.readouterr().err.splitlines() == [
        "features: 200 of 1000 images, 20/s, 40 s left",
        "features: 400 of 1000 images, 20/s, 30 s left",
        "features: 500 images, 25.0 s, 20/s",
    ]


def test_a_stage_that_does_not_get_on_says_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("zoo.progress.time.monotonic", lambda: now)
    lines = Lines()
    lines.begin("decode", 3, "images")
    now = 11.0
    lines.advance(0)
    assert capsys.readouterr().err == "decode: 0 of 3 images, 0/s, unknown time left\n"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (720, "12 min"), (9000, "2.5 h")]
)
def test_a_duration_is_told_roughly(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_bars_show_the_rate_and_the_time_left() -> None:
    now = 0.0
    text = io.StringIO()
    bars = Bars(Console(file=text, force_terminal=True, width=160, get_time=lambda: now))
    bars.begin("decode", 100, "images")
    for _ in range(5):
        now += 1
        bars.advance(10)
    bars.end()
    assert "10 images/s" in text.getvalue()
    assert "0:00:05" in text.getvalue()


def test_an_epoch_without_a_validation_part_has_no_figure() -> None:
    assert "val" not in describe(record("probe", 1, top1=None), 2)


def test_where_nobody_looks_lines_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(listener(), Lines)
    assert capsys.readouterr().err == ""
