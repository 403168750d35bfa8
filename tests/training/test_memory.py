"""A device whose memory holds a few images only: batches go through in pieces."""

from __future__ import annotations

import gc
import json
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from zoo.corridor import Run, resume
from zoo.errors import OutOfMemory, Stopped
from zoo.progress import Silent
from zoo.training import train as train_room
from zoo.training.memory import fitting

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from zoo.phases import PhasePlan
    from zoo.training import fit
    from zoo.training.session import Session

Train = Any  # a fixture that trains
Scarce = Any  # a fixture that makes memory scarce
pytestmark = pytest.mark.usefixtures("tiny")
CPU = torch.device("cpu")
#: how the parts are trained that hold no BatchNorm in train mode, and no dropout
EXACT = {
    "probe": {"spec": "tiny/net+linear+cekl", "epochs": 2},
    "two views": {"spec": "tiny/net+contrastive+cekl:target=view", "epochs": 2},
    "weighted": {"spec": "tiny/net+linear+ce", "epochs": 2, "balance": "weights"},
    "full": {"train": "full", "epochs": 2, "freeze_bn": "on", "lr": 0.01},
    "sgd": {"train": "full", "epochs": 2, "freeze_bn": "on", "lr": 0.01, "optimizer": "sgd"},
}


class Notes(Silent):
    """Remembers what was said of memory."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, line: str) -> None:
        if line.startswith("memory: "):
            self.said.append(line)


class Memory:
    """Memory for so many images at once.

    Args:
        room: how many.
        training: whether it is for training; else for computing features.
    """

    def __init__(self, room: int, *, training: bool) -> None:
        self.room, self.training = room, training
        #: images of each forward pass, those that ran out of memory included
        self.tried: list[int] = []
        #: the pass after which somebody stops the run
        self.stop_at = -1
        #: whether the parts' proof is over, which is done with a few images of zeros
        self.begun = False
        self._failed: weakref.ref[Tensor] | None = None

    def of(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The forward pass of a module, in this memory."""

        def limited(module: torch.nn.Module, given: Tensor) -> Any:  # noqa: ANN401 - as given
            found = forward(module, given)
            if not self.begun or module.training != self.training:
                return found
            assert self._failed is None or self._failed() is None, "a failed pass is held on to"
            self.tried.append(len(given))
            if len(self.tried) == self.stop_at:
                raise Stopped("Stopped.")
            if len(given) > self.room:
                # Late: the module's buffers have seen these images.
                kept = given + 0
                self._failed = weakref.ref(kept)
                raise torch.OutOfMemoryError("CUDA out of memory")
            return found

        return limited


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Memory]:
    """Let memory hold so many images: of the backbone, or of the heads where only one trains."""

    def limit(room: int, mode: str = "probe") -> Memory:
        found, begin = Memory(room, training=mode != "features"), train_room.train

        def train(*given: Any, **named: Any) -> None:  # noqa: ANN401 - passed on
            found.begun = True
            try:
                begin(*given, **named)
            finally:
                found.begun = False

        monkeypatch.setattr(train_room, "train", train)
        parts = ("zoo_heads.linear:Linear", "zoo_heads.contrastive:Contrastive")
        for part in parts if mode == "probe" else ("tiny_parts:Net",):
            module, _, name = part.partition(":")
            kind = getattr(import_module(module), name)
            monkeypatch.setattr(kind, "forward", found.of(kind.forward))
        return found

    return limit


@pytest.fixture
def whole_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """No dropout, whose masks are others for other shapes."""

    def forward(_self: object, given: Tensor) -> Tensor:
        return given

    monkeypatch.setattr("torch.nn.Dropout.forward", forward)


def tensors(done: Run) -> dict[str, Tensor]:
    return load_file(done.folder / "model" / "model.safetensors")


def phases(done: Run) -> list[Any]:
    return [phase["micro_batch"] for phase in done.summary["train"]["phases"]]


@pytest.mark.usefixtures("whole_gradients")
@pytest.mark.parametrize("name", EXACT)
def test_in_pieces_a_batch_trains_what_it_trains_as_a_whole(
    images: Path, tmp_path: Path, train: Train, scarce: Scarce, name: str
) -> None:
    (images / "ant" / "1.png").unlink()  # the classes are of unequal size
    settings = {"batch_size": 7, **EXACT[name]}
    whole = train(images, tmp_path / "whole", **settings)
    memory, notes = scarce(3, settings.get("train", "probe")), Notes()
    cut = train(images, tmp_path / "cut", listener=notes, **settings)
    assert memory.tried[:5] == [7, 3, 2, 2, 2]
    assert max(memory.tried[1:]) <= 3
    assert (phases(whole), phases(cut)) == ([None], [3])
    (said,) = notes.said
    assert "a batch of 7 images does not fit" in said
    assert "at most 3 go through at once" in said
    assert "BatchNorm" not in said
    for key, tensor in tensors(whole).items():
        torch.testing.assert_close(tensors(cut)[key], tensor, rtol=2e-4, atol=2e-5)
    lines = [(run.folder / "metrics.jsonl").read_text().splitlines() for run in (whole, cut)]
    for one, other in zip(*lines, strict=True):
        terms = pytest.approx(json.loads(one)["terms"], rel=1e-4, abs=1e-7)
        assert json.loads(other)["terms"] == terms
        assert json.loads(other)["step"] == json.loads(one)["step"]


@pytest.mark.parametrize(
    ("mode", "spec"),
    [("probe", "tiny/net+linear:dropout=0.5+cekl"), ("full", "tiny/net+linear+cekl")],
)
def test_a_run_in_pieces_that_goes_on_is_the_unbroken_one(
    images: Path, tmp_path: Path, train: Train, scarce: Scarce, mode: str, spec: str
) -> None:
    settings = {"batch_size": 7, "epochs": 2, "train": mode, "freeze_bn": "off", "lr": 0.01}
    memory = scarce(3, mode)
    whole = train(images, tmp_path / "whole", spec=spec, **settings)
    passes = len(memory.tried)
    for stop in (2, 6, passes - 1):
        memory.tried.clear()
        memory.stop_at = stop
        folder = tmp_path / f"at {stop}"
        with pytest.raises(Stopped):
            train(images, folder, spec=spec, checkpoint__steps=1, **settings)
        memory.tried.clear()
        memory.stop_at, notes = -1, Notes()
        done = resume(folder, listener=notes)
        first = stop == 2  # it was stopped in its first step, of which nothing was saved
        assert (max(memory.tried) > 3) == first
        assert len(notes.said) == first
        assert phases(done) == phases(whole) == [3]
        assert tensors(done).keys() == tensors(whole).keys()
        for key, tensor in tensors(whole).items():
            assert tensors(done)[key].equal(tensor), key


def test_batch_norm_trains_on_no_single_image_and_forgets_what_ran_out_of_memory(
    images: Path, tmp_path: Path, train: Train, scarce: Scarce
) -> None:
    memory, notes = scarce(3, "full"), Notes()
    settings = {"train": "full", "epochs": 1, "freeze_bn": "off", "batch_size": 5}
    done = train(images, tmp_path / "run", listener=notes, **settings)
    # 12 images: 5, 5 and 2. Two and two of five would leave one alone.
    assert memory.tried == [5, 3, 2, 3, 2, 2]
    assert phases(done) == [3]
    assert "BatchNorm sees these smaller batches" in notes.said[0]
    assert tensors(done)["backbone.norm.num_batches_tracked"] == len(memory.tried) - 1


def test_of_a_failed_pass_nothing_is_held_when_the_next_begins(
    images: Path, tmp_path: Path, train: Train, scarce: Scarce
) -> None:
    memory = scarce(1, "full")
    gc.collect()
    gc.disable()
    try:
        settings = {"train": "full", "freeze_bn": "on", "epochs": 1, "batch_size": 12}
        done = train(images, tmp_path / "run", **settings)  # `Memory` looks
    finally:
        gc.enable()
    assert memory.tried == [12, 6, 3, *[1] * 12]
    assert phases(done) == [1]


def test_a_loss_that_compares_images_is_never_taken_in_pieces(
    images: Path, tmp_path: Path, train: Train, scarce: Scarce
) -> None:
    memory = scarce(3)
    with pytest.raises(OutOfMemory) as caught:
        train(images, tmp_path / "run", spec="tiny/net+linear+cekl:target=prior", batch_size=7)
    assert memory.tried == [7]
    assert caught.value.exit_code == 71
    assert "not enough memory for 7 images at once, and its loss" in caught.value.message
    assert "--batch-size" in caught.value.hint
    assert json.loads((tmp_path / "run" / "exit.json").read_text())["code"] == 71


@pytest.mark.parametrize(("norms", "tried"), [("on", [8, 4, 2, 1]), ("off", [8, 4, 2])])
def test_no_memory_for_the_smallest_piece_ends_the_run(
    images: Path, tmp_path: Path, train: Train, scarce: Scarce, norms: str, tried: list[int]
) -> None:
    memory = scarce(0, "full")
    settings = {"train": "full", "batch_size": 8, "freeze_bn": norms}
    with pytest.raises(OutOfMemory, match="not enough memory for") as caught:
        train(images, tmp_path / "run", **settings)
    assert memory.tried == tried
    assert caught.value.exit_code == 71
    assert "--image-size" in caught.value.hint
    # No batch is smaller than one image.
    assert ("--batch-size" in caught.value.hint) == (tried[-1] > 1)


def test_features_are_computed_in_pieces_and_those_are_not_kept(
    images: Path, tmp_path: Path, train: Train, scarce: Scarce, cold: Callable[[], None]
) -> None:
    whole = train(images, tmp_path / "whole")
    cold()
    memory = scarce(9, "features")
    for name in ("first", "second"):
        notes = Notes()
        memory.tried.clear()
        done = train(images, tmp_path / name, listener=notes)
        # Batches are of 32, filled up where there are fewer: 12 that train, 3 that validate.
        # One image alone is how a folded backbone is judged.
        assert [size for size in memory.tried if size > 1] == [32, 16, *[8] * 4, *[8] * 4]
        (said,) = notes.said
        assert "computed of 8 images at once" in said
        for key, tensor in tensors(whole).items():
            torch.testing.assert_close(tensors(done)[key], tensor, rtol=1e-3, atol=1e-4)


def test_what_is_no_lack_of_memory_is_not_tried_again() -> None:
    tried: list[int] = []

    def attempt(size: int) -> None:
        tried.append(size)
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        fitting(attempt, 8, device=CPU)
    assert tried == [8]


def test_what_fits_is_done_once_and_undone_never() -> None:
    undone: list[str] = []
    assert fitting(str, 8, device=CPU, undo=lambda: undone.append("undone")) == ("8", 8)
    assert undone == []


def test_memory_of_the_host_counts_as_well() -> None:
    undone: list[str] = []

    def attempt(size: int) -> int:
        if size > 2:
            raise MemoryError
        return -size

    found = fitting(attempt, 9, device=CPU, undo=lambda: undone.append("undone"))
    assert (found, undone) == ((-2, 2), ["undone"] * 2)


def test_features_of_the_probe_are_gone_when_the_whole_network_is_trained(
    images: Path, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, probed = train_room.prepare, list[Any]()

    def watched(session: Session, phase: PhasePlan) -> fit.Task:
        if phase.name == "probe":
            probed.extend(map(weakref.ref, session.features.values()))
        else:
            gc.collect()
            assert [one() for one in probed] == [None, None]  # of train and val
        return prepare(session, phase)

    monkeypatch.setattr(train_room, "prepare", watched)
    train(images, tmp_path / "run", train="lpft", epochs=1, probe__epochs=1)
    assert len(probed) == 2
