"""Weights files that do not fit, that lie, or that want to run code (E3 to E8)."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save, save_file

import zoo
from zoo import fetch
from zoo.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

Tiny = Any  # a fixture that installs the tiny catalog
Tree = Any  # a fixture that hashes the files below a folder
Zoo = Any  # a fixture that runs the command line
COMMAND = ("run", "tiny/net+linear+ce", "--data", "images", "--device", "cpu", "--train", "probe")
pytestmark = pytest.mark.usefixtures("tiny", "images")


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tree: Tree) -> Iterator[Zoo]:
    """Run the command line here; gives exit code and standard error. The images stay."""
    before = tree(Path("images"))

    def run(*arguments: object) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main([*COMMAND, "--epochs", "1", "--out", "run", *map(str, arguments)])
        err = capsys.readouterr().err
        assert "Traceback" not in err
        return ended.value.code, err

    yield run
    assert tree(Path("images")) == before


@pytest.fixture
def state(tmp_path: Path) -> dict[str, Tensor]:
    """What fits the tiny backbone."""
    from tiny_parts import Net  # type: ignore[import-not-found]  # on the path while tiny is

    del tmp_path
    torch.manual_seed(0)
    return dict(Net(8).state_dict())


def refused(cli: Zoo, file: Path, code: int = 65) -> str:
    """What is said of a file, no run folder being left."""
    got, err = cli("--weights", file)
    assert got == code, err
    assert file.name in err
    assert not Path("run").exists()
    return err


def test_e3_the_file_of_the_very_backbone_is_taken(cli: Zoo, state: dict[str, Tensor]) -> None:
    save_file(state, "w.safetensors")
    code, err = cli("--weights", "w.safetensors")
    assert code == 0
    assert "matched 7 of 7" in err
    model = load_file("run/model/model.safetensors")
    assert all(torch.equal(model[f"backbone.{name}"], one) for name, one in state.items())


def without(state: dict[str, Tensor], name: str, **more: Tensor) -> dict[str, Tensor]:
    return {**{key: one for key, one in state.items() if key != name}, **more}


MISFITS: dict[str, tuple[Callable[[dict[str, Tensor]], dict[str, Tensor]], list[str]]] = {
    "renamed": (
        lambda found: without(found, "conv.bias", **{"conv.beta": found["conv.bias"]}),
        [
            "matched 6 of 7",
            "1 missing in the file: conv.bias",
            "unknown to the backbone: conv.beta",
        ],
    ),
    "all_renamed": (
        lambda found: {f"stem.{key}": one for key, one in found.items()},
        ["matched 0 of 6", "6 missing in the file", "7 unknown to the backbone"],
    ),
    "extra": (
        lambda found: {**found, "more.weight": torch.ones(2)},
        ["matched 7 of 7", "1 unknown to the backbone: more.weight"],
    ),
    "missing": (lambda found: without(found, "norm.weight"), ["matched 6 of 7", "norm.weight"]),
    "shape": (
        lambda found: {**found, "conv.bias": torch.ones(9)},
        ["matched 6 of 7", "conv.bias (9,) instead of (8,)"],
    ),
    "dtype_whole": (
        lambda found: {**found, "conv.bias": found["conv.bias"].long()},
        ["matched 6 of 7", "of another kind of number: conv.bias int64 instead of float32"],
    ),
    "dtype_truth": (
        lambda found: {**found, "conv.bias": found["conv.bias"] > 0},
        ["matched 6 of 7", "of another kind of number: conv.bias bool instead of float32"],
    ),
    "dtype_complex": (
        lambda found: {**found, "conv.bias": found["conv.bias"] + 0j},
        ["matched 6 of 7", "of another kind of number: conv.bias complex64 instead of float32"],
    ),
    "nan": (
        lambda found: {**found, "conv.bias": found["conv.bias"] * torch.nan},
        ["matched 6 of 7", "1 not finite: conv.bias"],
    ),
    "infinite_buffer": (
        lambda found: {**found, "norm.running_var": found["norm.running_var"] / 0},
        ["matched 6 of 7", "1 not finite: norm.running_var"],
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_e3_a_file_that_does_not_fit_is_refused_with_a_count_and_names(
    cli: Zoo, state: dict[str, Tensor], name: str
) -> None:
    change, words = MISFITS[name]
    save_file(change(state), "w.safetensors")
    err = refused(cli, Path("w.safetensors"))
    for word in words:
        assert word in err


def test_e3_floats_of_another_width_are_converted(cli: Zoo, state: dict[str, Tensor]) -> None:
    save_file({name: one.half() if one.is_floating_point() else one for name, one in state.items()},
              "w.safetensors")  # fmt: skip
    assert cli("--weights", "w.safetensors")[0] == 0


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.canary}'",)


WRITTEN: dict[str, Callable[[object, Path], object]] = {
    "zip": torch.save,
    "legacy": lambda what, file: torch.save(what, file, _use_new_zipfile_serialization=False),
    "plain_0": lambda what, file: file.write_bytes(pickle.dumps(what, 0)),
    "plain_2": lambda what, file: file.write_bytes(pickle.dumps(what, 2)),
}


@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt"])
@pytest.mark.parametrize("way", WRITTEN)
def test_e4_a_pickle_that_would_run_code_is_refused_and_runs_none(
    cli: Zoo, tmp_path: Path, state: dict[str, Tensor], suffix: str, way: str
) -> None:
    canary = tmp_path / "canary"
    file = Path(f"w.{suffix}")
    WRITTEN[way]({"state_dict": state, "more": Evil(canary)}, file)
    # Of a pickle of the oldest protocol not even the structure is read.
    err = refused(cli, file, 65 if way == "plain_0" else 77)
    assert "Convert it to safetensors with a tool that you trust" in err
    assert not canary.exists()
    if way == "zip":  # what a careless reader does
        torch.load(file, weights_only=False)
    assert canary.exists() == (way == "zip")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_e5_a_pickle_under_another_name_runs_none_either(
    cli: Zoo, tmp_path: Path, suffix: str
) -> None:
    canary = tmp_path / "canary"
    file = Path(f"w.{suffix}")
    file.write_bytes(pickle.dumps(Evil(canary), 4))
    refused(cli, file)
    assert not canary.exists()


def tensors(header: object, data: bytes = bytes(64), *, length: int | None = None) -> bytes:
    """A safetensors file by hand."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(start: int, end: int, shape: int = 8) -> dict[str, object]:
    return {"dtype": "F32", "shape": [shape], "data_offsets": [start, end]}


HOSTILE: dict[str, Callable[[], bytes]] = {
    "length_2_63": lambda: tensors({"a": one(0, 32)}, length=2**63),
    "length_past_end": lambda: tensors({"a": one(0, 32)}, length=10**6),
    "header_100_mb": lambda: tensors(b"{" + b" " * 10**8 + b"}"),
    "overlap": lambda: tensors({"a": one(0, 32), "b": one(16, 48)}),
    "hole": lambda: tensors({"a": one(0, 32), "b": one(36, 64, 7)}),
    "past_the_end": lambda: tensors({"a": one(0, 4 * 10**9, 10**9)}),
    "backwards": lambda: tensors({"a": one(32, 0)}),
    "huge_shape": lambda: tensors(
        {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 64]}}
    ),
    "rest": lambda: tensors({"a": one(0, 32)}),
    "deep": lambda: tensors(b'{"a":' + b"[" * 10**5 + b"]" * 10**5 + b"}"),
    "twice": lambda: tensors(
        b'{"a":' + json.dumps(one(0, 32)).encode() + b',"a":' + json.dumps(one(0, 32)).encode()
        + b"}"
    ),
    "not_utf8": lambda: tensors(b'{"\xff\xfe":' + json.dumps(one(0, 64, 16)).encode() + b"}"),
    "no_dtype": lambda: tensors(b'{"a":{"dtype":"F33","shape":[16],"data_offsets":[0,64]}}'),
    "a_list": lambda: tensors([1, 2]),
    "empty": lambda: b"",
    "seven_bytes": lambda: b"1234567",
    "web_page": lambda: b"<!doctype html><title>Sign in</title>",
    "lfs_pointer": lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_e5_a_hostile_safetensors_file_is_refused_at_once(cli: Zoo, name: str) -> None:
    file = Path("w.safetensors")
    file.write_bytes(HOSTILE[name]())
    from zoo.errors import BadWeights
    from zoo.training.weights import load_weights

    began = time.process_time()  # of this process: the machine may be busy
    with pytest.raises(BadWeights):
        load_weights(torch.nn.Linear(2, 4), file)
    assert time.process_time() - began < 1
    refused(cli, file)


def test_e6_a_file_that_is_cut_while_it_is_used_hurts_nobody(
    cli: Zoo, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files are read, not mapped, so what was checked is what is used."""
    from zoo.training import weights

    save_file(state, "w.safetensors")
    real = weights.load_safetensors

    def cutting(data: bytes) -> dict[str, Tensor]:
        found = real(data)
        os.truncate("w.safetensors", 100)
        return found

    monkeypatch.setattr(weights, "load_safetensors", cutting)
    assert cli("--weights", "w.safetensors")[0] == 0
    model = load_file("run/model/model.safetensors")
    assert all(torch.equal(model[f"backbone.{name}"], one) for name, one in state.items())


# from a server


class Server(BaseHTTPRequestHandler):
    """Answers with `content`, in the way that the path's first part says."""

    content = b""
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        way = self.path.split("/")[1]
        if way == "missing":
            self.send_error(404)
            return
        if way == "away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        data = {
            "wrong": bytes(len(self.content)),
            "page": b"<!doctype html><title>Sign in</title>",
        }.get(way, self.content)
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if way == "page" else "application/octet")
        if way != "cut_without_length":
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if way.startswith("cut") else data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Quietly."""


@pytest.fixture
def server(state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    Server.content, Server.asked = save(state), 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


def published(tiny: Tiny, url: str, sha256: str = "") -> None:
    """Let the tiny backbone's weights come from there."""
    weights = zoo.Weights(tag="v1", default=True, source=url, sha256=sha256,
                          preprocess=zoo.Preprocess(size=(32, 32), resize=(36, 36)))  # fmt: skip
    tiny(weights=(weights,))


def cached() -> list[Path]:
    return [*Path(os.environ["ZOO_CACHE"]).glob("weights/*")]


@pytest.mark.parametrize("known", [True, False], ids=["hash_known", "hash_unknown"])
@pytest.mark.parametrize(
    ("way", "code", "words"),
    [
        ("cut", 69, "the connection ended after"),
        ("cut_without_length", 65, ""),
        ("page", 69, "web page"),
        ("missing", 69, "404"),
        ("away", 69, "302"),
        ("wrong", 65, ""),
    ],
)
def test_e7_what_a_server_gives_instead_of_weights_is_never_kept(  # noqa: PLR0913 - a table
    cli: Zoo, tiny: Tiny, server: str, *, way: str, code: int, words: str, known: bool
) -> None:
    import hashlib

    digest = hashlib.sha256(Server.content).hexdigest()
    published(tiny, f"{server}/{way}/w.safetensors", digest if known else "")
    got, err = cli("--weights", "default")
    assert got == code, err
    assert server in err
    assert words in err
    assert cached() == []
    assert not Path("run").exists()
    # The next attempt asks again, and takes what is good.
    published(tiny, f"{server}/good/w.safetensors", digest if known else "")
    assert cli("--weights", "default")[0] == 0
    assert len(cached()) == 1


def test_e8_without_a_network_what_is_cached_works_and_else_it_says_so_soon(
    cli: Zoo, tiny: Tiny, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(tiny, f"{server}/good/w.safetensors")
    assert cli("--weights", "default")[0] == 0
    asked = Server.asked

    def unreachable(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("socket.create_connection", unreachable)
    shutil.rmtree("run")
    assert cli("--weights", "default")[0] == 0
    assert Server.asked == asked
    shutil.rmtree("run")
    published(tiny, f"{server}/good/other.safetensors")
    began = time.monotonic()
    code, err = cli("--weights", "default")
    assert code == 69
    assert time.monotonic() - began < fetch.TIMEOUT
    assert "Network is unreachable" in err
    assert "--weights FILE" in err
    assert "--weights none" in err
    assert not Path("run").exists()
