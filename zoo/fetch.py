"""Pretrained weights: from a source to a checked file in the cache.

A download goes to a temporary name, is hashed on the way, and gets its final name only when the
hash is right; the cache is keyed by the source, so equal file names never meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.util
import json
import os
import re
import socket
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

from zoo import folders
from zoo.errors import BadWeights, StorageFault, Unavailable
from zoo.files import write_text

if TYPE_CHECKING:
    from email.message import Message

#: seconds without a byte before a server counts as unreachable
TIMEOUT = 10.0
_CHUNK = 1 << 20
_HUB = "https://huggingface.co"
_DEFAULT_FILE = "model.safetensors"
_SHA256_LENGTH = 64
#: a commit of the hub, and where the cache keeps that of a file: beside it
_COMMIT, _BESIDE = re.compile(r"[0-9a-f]{40}"), ".commit"
#: a file as the system describes it → its SHA-256, so that one process hashes a file once
_hashes: dict[tuple[object, ...], str] = {}
#: what safetensors itself reads at most, bytes
_LONGEST_HEADER = 100_000_000
_HINT = (
    "Fetch the file elsewhere and give it with --weights FILE, "
    "or start from random weights with --weights none."
)
Progress = Callable[[int, int], None]


def fetch_file(
    source: str, sha256: str = "", *, progress: Progress | None = None, what: str = "The weights"
) -> Path:
    """The local file that holds these weights, or what else belongs to a model.

    Args:
        source: `https://...`, `hf-hub:ORG/NAME[@REVISION][/FILE]`, `package:MODULE/PATH`, or
            `file:PATH`.
        sha256: expected, whole or a prefix; empty when unknown.
        progress: called with (bytes so far, bytes in all or 0).
        what: to call it in messages, in the plural.

    Returns:
        A file in the cache folder, in an installed package, or where `file:` says.

    Raises:
        Unavailable: it cannot be had here and now; the message says why.
        BadWeights: what came has another hash.
    """
    scheme, _, rest = source.partition(":")
    if scheme in {"package", "file"}:
        file = _packaged(rest) if scheme == "package" else _local(rest)
        _check(file, sha256, source)
        return file
    url = _hub_url(rest) if scheme == "hf-hub" else source
    cached = _cache_name(source, url)
    if cached.is_file():
        _check(cached, sha256, source)
        return cached
    return _download(url, cached, sha256, progress or _quiet, what)


def fetched_commit(source: str) -> str:
    """The hub's commit that the cached file of a source is of, 40 hex digits; "" where unknown.

    Args:
        source: as `fetch_file` takes it. A commit that it names itself is the answer.

    Returns:
        The commit; that of a branch is known once a file of it was fetched.
    """
    scheme, _, rest = source.partition(":")
    if scheme != "hf-hub":
        return ""
    named = "/".join(rest.split("/")[:2]).partition("@")[2]
    if _COMMIT.fullmatch(named):
        return named
    with contextlib.suppress(OSError, UnicodeDecodeError):
        told = _commit_file(_cache_name(source, _hub_url(rest))).read_text("ascii")
        return told if _COMMIT.fullmatch(told) else ""
    return ""


def _commit_file(cached: Path) -> Path:
    return cached.with_name(cached.name + _BESIDE)


def digest(file: Path) -> str:
    """SHA-256 of a file, hex; within one process it is read once, unless it changes.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        told = os.fstat(stream.fileno())
        key = (told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns)
        if key not in _hashes:
            _hashes[key] = hashlib.file_digest(stream, "sha256").hexdigest()
        return _hashes[key]


def _quiet(done: int, total: int) -> None:
    del done, total


def _packaged(place: str) -> Path:
    """A file inside an installed package, found without importing the package."""
    module, _, path = place.partition("/")
    found = importlib.util.find_spec(module)
    for root in (found.submodule_search_locations or ()) if found else ():
        file = Path(root) / path
        if file.is_file():
            return file
    message = f"The weights {path} should come with the package {module}, which is not installed."
    raise Unavailable(message, hint=_HINT)


def _local(path: str) -> Path:
    if not Path(path).is_file():
        message = f"The weights {path} are not there any more."
        raise Unavailable(message, hint=_HINT)
    return Path(path)


def _hub_url(place: str) -> str:
    parts = place.split("/")
    name, _, revision = "/".join(parts[:2]).partition("@")
    file = "/".join(parts[2:]) or _DEFAULT_FILE
    hub = os.environ.get("HF_ENDPOINT", _HUB).rstrip("/")
    return f"{hub}/{name}/resolve/{revision or 'main'}/{urllib.parse.quote(file)}"


def _cache_name(source: str, url: str) -> Path:
    name = Path(urllib.parse.urlsplit(url).path).name or _DEFAULT_FILE
    return (
        folders.cache() / "weights" / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}-{name}"
    )


def _check(file: Path, sha256: str, source: str) -> None:
    if not sha256:
        return
    actual = digest(file)
    if not actual.startswith(sha256.lower()):
        raise BadWeights(
            f"The weights from {source} have the SHA-256 {actual[:16]}..., not {sha256[:16]}...",
            hint=f"Delete {file} and try again; if it stays so, do not trust the source.",
        )


def _check_form(file: Path, url: str) -> None:
    """Where nobody published a hash: at least that the file is whole, where its form tells it.

    Raises:
        BadWeights: a safetensors file is not as long as it says, or none at all.
    """
    if not url.endswith(".safetensors"):
        return
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(min(length, _LONGEST_HEADER)))
        ends = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
        whole = file.stat().st_size == 8 + length + max(ends, default=0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        whole = False
    if not whole:
        message = f"What came from {url} is no whole safetensors file."
        raise BadWeights(message, hint=f"Try again. {_HINT}")


def _download(url: str, target: Path, sha256: str, progress: Progress, what: str) -> Path:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
    except OSError as error:
        message = f"The cache folder {target.parent} cannot be written: {error.strerror}."
        raise StorageFault(message, hint="Set ZOO_CACHE to a folder that can.") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            published, commit = _receive(url, stream, progress, what)
            stream.flush()
            os.fsync(stream.fileno())
        for expected in filter(None, (sha256, published)):
            _check(part, expected, url)
        if not sha256 and not published:
            _check_form(part, url)
        _commit_file(target).unlink(missing_ok=True)  # of a file that was removed by hand
        if commit:
            write_text(_commit_file(target), commit)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _receive(url: str, stream: IO[bytes], progress: Progress, what: str) -> tuple[str, str]:
    """Copy a response into a stream; returns what SHA-256 and commit the server tells, if any."""
    # The hub answers with a redirect to its storage, and only its own answer carries the hash.
    published: list[str] = []
    commits: list[str] = []

    def note(headers: Message) -> None:
        published.append(headers.get("X-Linked-ETag", ""))
        commits.append(headers.get("X-Repo-Commit", ""))

    class Redirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - the standard library's signature
            note(headers)
            if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
                return None  # which makes the answer an error
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    _reach(url, what)
    request = urllib.request.Request(url, headers={"User-Agent": "zoo"})  # noqa: S310 - see _hub_url
    try:
        with urllib.request.build_opener(Redirect).open(request, timeout=TIMEOUT) as response:
            if response.headers.get_content_type() == "text/html":
                message = f"{what} cannot be fetched: {url} answers with a web page."
                raise Unavailable(message, hint=_HINT)
            total = int(response.headers.get("Content-Length") or 0)
            note(response.headers)
            _copy(response, stream, total, progress)
    except urllib.error.HTTPError as error:
        error.close()  # it is the response, too
        message = f"{what} cannot be fetched: {url} answers {error.code} {error.reason}."
        raise Unavailable(message, hint=_HINT) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        message = f"{what} cannot be fetched from {url}: {reason}."
        raise Unavailable(message, hint=_HINT) from error
    tags = (tag.strip('"').removeprefix("W/").strip('"') for tag in published)
    return (
        next((tag for tag in tags if len(tag) == _SHA256_LENGTH), ""),
        next((commit for commit in commits if _COMMIT.fullmatch(commit)), ""),
    )


def _reach(url: str, what: str) -> None:
    """Find out within `TIMEOUT` whether a server can be reached at all.

    A time limit on a connection holds for each of a name's addresses in turn, and not for looking
    the name up; so a network that swallows packets would be waited for several times over.

    Raises:
        Unavailable: nobody answered.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme in urllib.request.getproxies() or not parts.hostname:
        return
    place = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    # A refusal counts as an answer here: the real request tells it better.
    answered = threading.Event()

    def knock() -> None:
        with contextlib.suppress(OSError):
            # Longer than the wait below, so that a timeout never passes for an answer.
            socket.create_connection(place, timeout=2 * TIMEOUT).close()
        answered.set()

    threading.Thread(target=knock, daemon=True).start()
    if not answered.wait(TIMEOUT):
        message = f"{what} cannot be fetched: {parts.hostname} does not answer."
        raise Unavailable(message, hint=_HINT)


def _copy(response: IO[bytes], stream: IO[bytes], total: int, progress: Progress) -> None:
    done = 0
    while chunk := response.read(_CHUNK):
        stream.write(chunk)
        done += len(chunk)
        progress(done, total)
    if total and done != total:
        raise ConnectionError(f"the connection ended after {done} of {total} bytes")
