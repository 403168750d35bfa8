"""A run repeated, or gone on with, from other weights than it had: refused, by file and commit."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import load_file, save_file

import zoo
from tests.replayed import edited, read, result
from zoo import hot
from zoo.corridor import resume
from zoo.errors import Mismatch, Stopped
from zoo.progress import Silent
from zoo.replay import repeat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from zoo.index import Catalog

Train = Any  # a fixture that trains
pytestmark = pytest.mark.usefixtures("tiny")


class Hub:
    """A hub on this machine: path → the file that it answers with, and the commit that it tells."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.commit = ""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = hub.files[self.path].read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Repo-Commit", hub.commit)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield hub
        server.shutdown()
        thread.join()


NET = "tiny/net.v1+linear+ce"


@pytest.fixture
def default_weights(tmp_path: Path, tiny: Callable[..., Catalog]) -> Callable[[str], Path]:
    """Give the tiny backbone default weights from such a source; what they are made from."""

    def install(source: str) -> Path:
        recipe = zoo.Preprocess(size=(32, 32), resize=(36, 36))
        tiny(weights=(zoo.Weights(tag="v1", default=True, source=source, preprocess=recipe),))
        file = tmp_path / "net.safetensors"
        save_file(import_module("tiny_parts").net(None).state_dict(), file)
        return file

    return install


def moved_on(file: Path) -> None:
    """Other weights under the same name."""
    save_file({name: one + 1 for name, one in load_file(file).items()}, file)


def test_another_file_behind_a_plugins_weights_is_drift(
    images: Path, tmp_path: Path, train: Train, default_weights: Callable[[str], Path]
) -> None:
    file = default_weights(f"file:{tmp_path / 'net.safetensors'}")
    first = train(images, tmp_path / "first", spec=NET, weights="default").folder
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read(first, "plan.json")["loaded"] == {"sha256": sha256, "commit": ""}
    assert result(repeat(first, listener=Silent()).folder) == result(first)
    moved_on(file)
    told = f"weights: {file} is another file; its SHA-256 was {sha256[:16]}"
    with pytest.raises(Mismatch, match=re.escape(told)):
        repeat(first, listener=Silent())
    again = repeat(first, accept_drift=True, listener=Silent())
    (drift,) = again.summary["repeats"]["drift"]
    assert drift.startswith(told)
    now = hashlib.sha256(file.read_bytes()).hexdigest()
    assert read(again.folder, "plan.json")["loaded"]["sha256"] == now
    file.unlink()
    with pytest.raises(Mismatch, match=f"weights: {file} is gone"):
        repeat(first, listener=Silent())


def test_a_hub_that_moved_on_is_drift_and_the_commit_that_was_used_is_told(
    images: Path,
    tmp_path: Path,
    train: Train,
    hub: Hub,
    cold: Callable[[], None],
    default_weights: Callable[[str], Path],
) -> None:
    file = default_weights("hf-hub:acme/net")
    hub.files["/acme/net/resolve/main/model.safetensors"] = file
    hub.commit = 40 * "a"
    first = train(images, tmp_path / "first", spec=NET, weights="default").folder
    loaded = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "commit": 40 * "a"}
    assert read(first, "plan.json")["loaded"] == loaded
    hub.commit = 40 * "b"
    moved_on(file)
    assert result(repeat(first, listener=Silent()).folder) == result(first), "it is in the cache"
    cold()
    told = f"weights: hf-hub:acme/net is another file; it was that of the commit {40 * 'a'}"
    plan = read(first, "plan.json")
    edited(first, packages={**plan["packages"], "torch": "2.0.1"})
    with pytest.raises(Mismatch) as caught:
        repeat(first, listener=Silent())
    assert f"\n  {told}" in caught.value.message
    assert "\n  torch was 2.0.1" in caught.value.message
    again = repeat(first, accept_drift=True, listener=Silent())
    assert read(again.folder, "plan.json")["loaded"]["commit"] == 40 * "b"


def test_a_run_goes_on_from_no_other_weights_than_it_began_with(
    images: Path,
    tmp_path: Path,
    train: Train,
    monkeypatch: pytest.MonkeyPatch,
    default_weights: Callable[[str], Path],
) -> None:
    file = default_weights(f"file:{tmp_path / 'net.safetensors'}")

    def ended(*_given: object, **_more: object) -> None:
        raise Stopped("Stopped by a test.")

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(hot.room("train"), "final_scores", ended)
        with pytest.raises(Stopped):
            train(images, run, spec=NET, weights="default", **{"probe.solver": "epochs"})
    kept = file.read_bytes()
    moved_on(file)
    with pytest.raises(Mismatch, match=f"The run began with other weights: {file} is another file"):
        resume(run, listener=Silent())
    file.write_bytes(kept)
    assert resume(run, listener=Silent()).summary["status"] == "finished"
