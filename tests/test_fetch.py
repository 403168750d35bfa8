from __future__ import annotations

import hashlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from zoo import fetch as room
from zoo.errors import BadWeights, StorageFault, Unavailable
from zoo.fetch import fetch_file, fetched_commit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Answers by the path: `/NAME/whatever`."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        name = self.path.split("/")[1]
        if name == "404":
            self.send_error(404)
        elif name == "slow":
            time.sleep(1.5)
        elif name == "acme":  # a hub, which tells a commit when it sends elsewhere
            self.send_response(302)
            self.send_header("Location", "/good/storage")
            self.send_header("X-Repo-Commit", "../x" if "bad" in self.path else 40 * "a")
            self.end_headers()
        elif name == "redirect":
            self.send_response(302)
            self.send_header("Location", "/good/storage")
            self.send_header("X-Linked-ETag", f'"{OTHER if "bad" in self.path else DIGEST}"')
            self.end_headers()
        elif name in {"file", "ftp"}:
            self.send_response(302)
            self.send_header("Location", f"{name}:///etc/passwd")
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA[:-10] if name == "short" else DATA)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
        """Quietly."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    for name in (
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    Handler.asked.clear()
    return tmp_path / "cache" / "weights"


@pytest.mark.parametrize("sha256", ["", DIGEST, DIGEST[:8], DIGEST.upper()])
def test_a_file_comes_once_with_its_progress(server: str, cache: Path, sha256: str) -> None:
    told: list[tuple[int, int]] = []
    source = f"{server}/good/net.pth"
    found = fetch_file(source, sha256, progress=lambda done, total: told.append((done, total)))
    assert found.read_bytes() == DATA
    assert found.name.endswith("-net.pth")
    assert told[-1] == (len(DATA), len(DATA))
    assert fetch_file(source, sha256) == found
    assert len(Handler.asked) == 1
    assert [*cache.iterdir()] == [found]


def test_equal_names_from_two_places_do_not_meet(server: str) -> None:
    assert fetch_file(f"{server}/good/a/net.pth") != fetch_file(f"{server}/good/b/net.pth")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("404", "answers 404 Not Found"),
        ("short", "the connection ended after 1279990 of 1280000 bytes"),
        ("slow", "timed out"),
        ("file", "file:///etc/passwd' is not allowed"),
        ("ftp", "answers 302 Found"),
    ],
)
def test_what_cannot_be_fetched_says_why_and_what_to_type(
    server: str, cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    monkeypatch.setattr(room, "TIMEOUT", 0.3)
    started = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        fetch_file(f"{server}/{name}/net.pth")
    assert time.monotonic() - started < 1.4
    assert words in caught.value.message
    assert f"{server}/{name}/net.pth" in caught.value.message
    assert "--weights FILE" in caught.value.hint
    assert "--weights none" in caught.value.hint
    assert caught.value.exit_code == 69
    assert [*cache.iterdir()] == []


def test_a_host_that_nobody_answers_for_is_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        fetch_file(f"http://127.0.0.1:{port}/net.pth")


def test_a_name_that_resolves_to_nothing_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Unavailable, match="Name or service not known"):
        fetch_file("https://example.invalid/net.pth")


def test_a_host_of_many_silent_addresses_is_given_up_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()

    def silent(*_: object, timeout: float) -> None:
        over.wait(5 * timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(room, "TIMEOUT", 0.2)
    monkeypatch.setattr(socket, "create_connection", silent)
    started = time.monotonic()
    with pytest.raises(Unavailable, match=r"example\.invalid does not answer"):
        fetch_file("https://example.invalid/net.pth")
    over.set()
    assert time.monotonic() - started < 1


def test_another_hash_is_bad_weights_and_leaves_nothing(server: str, cache: Path) -> None:
    with pytest.raises(BadWeights, match=f"not {OTHER[:16]}") as caught:
        fetch_file(f"{server}/good/net.pth", OTHER)
    assert caught.value.exit_code == 65
    assert [*cache.iterdir()] == []


def test_a_cached_file_that_was_tampered_with_is_noticed(server: str) -> None:
    found = fetch_file(f"{server}/good/net.pth", DIGEST)
    found.write_bytes(b"other")
    with pytest.raises(BadWeights) as caught:
        fetch_file(f"{server}/good/net.pth", DIGEST)
    assert str(found) in caught.value.hint


def test_the_hash_that_a_hub_publishes_is_checked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"{server}/redirect/")
    assert fetch_file("hf-hub:acme/good").read_bytes() == DATA
    assert Handler.asked == [
        "/redirect/acme/good/resolve/main/model.safetensors",
        "/good/storage",
    ]
    with pytest.raises(BadWeights):
        fetch_file("hf-hub:acme/bad@abc123/some file.bin")
    assert Handler.asked[2] == "/redirect/acme/bad/resolve/abc123/some%20file.bin"


def test_a_package_brings_its_file_without_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "fetch_test_package"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "data" / "net.pth").write_bytes(DATA)
    monkeypatch.syspath_prepend(tmp_path)
    source = "package:fetch_test_package/data/net.pth"
    assert fetch_file(source, DIGEST) == package / "data" / "net.pth"
    with pytest.raises(BadWeights):
        fetch_file(source, OTHER)
    with pytest.raises(Unavailable, match="should come with the package"):
        fetch_file("package:fetch_test_package/none.pth")
    with pytest.raises(Unavailable, match="no_such_package"):
        fetch_file("package:no_such_package/none.pth")


def test_a_cache_that_cannot_be_written_is_a_storage_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(StorageFault, match="cannot be written") as caught:
        fetch_file("http://127.0.0.1:9/net.pth")
    assert "ZOO_CACHE" in caught.value.hint


def test_asking_to_stop_while_a_file_comes_leaves_nothing(server: str, cache: Path) -> None:
    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_file(f"{server}/good/net.pth", progress=stop)
    assert [*cache.iterdir()] == []


def test_a_hubs_commit_is_kept_beside_its_file(
    server: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server)
    source = "hf-hub:acme/net/weights.bin"
    assert fetched_commit(source) == ""
    found = fetch_file(source)
    assert fetched_commit(source) == 40 * "a"
    assert {file.name for file in cache.iterdir()} == {found.name, f"{found.name}.commit"}
    next(cache.glob("*.commit")).write_text("main")
    assert fetched_commit(source) == ""
    assert fetched_commit(f"hf-hub:acme/net@{40 * 'b'}/weights.bin") == 40 * "b"
    assert fetched_commit(f"{server}/good/net.pth") == ""
    fetch_file("hf-hub:acme/bad/weights.bin")
    assert fetched_commit("hf-hub:acme/bad/weights.bin") == ""


def test_a_file_is_hashed_once_unless_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "net.bin"
    file.write_bytes(DATA)
    read: list[str] = []
    whole = hashlib.file_digest

    def noted(stream: Any, name: str) -> Any:  # noqa: ANN401 - the standard library's
        read.append(name)
        return whole(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    assert [room.digest(file), room.digest(file)] == [DIGEST, DIGEST]
    assert len(read) == 1
    file.write_bytes(DATA[::-1])
    assert room.digest(file) == hashlib.sha256(DATA[::-1]).hexdigest()
