from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from zoo import folders
from zoo.plugins import children
from zoo.plugins.loader import forget_failures, offers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from tests.plugins.conftest import Site
    from zoo.plugins.distributions import Source
    from zoo.plugins.loader import Offer

LOSS = """
import zoo


@zoo.hookimpl
def zoo_losses():
    yield zoo.Component(name="{name}", target="acme_build:build", needs=("logits",))
"""
ENTRY = {"acme": "acme_zoo"}


@pytest.fixture
def surveys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that were surveyed in a child process, in order."""
    asked: list[str] = []
    survey = children.survey

    def counted(found: Sequence[Source], limit: float) -> Iterator[tuple[Source, dict[str, Any]]]:
        asked.extend(source.module for source in found)
        return survey(found, limit)

    monkeypatch.setattr(children, "survey", counted)
    return asked


def names(found: Iterable[Offer]) -> list[str]:
    return [one.name for offer in found for listed in offer.components.values() for one in listed]


def reason(offer: Offer) -> str:
    return offer.problem.reason if offer.problem else ""


def test_the_second_look_reads_the_cache(site: Site, surveys: list[str]) -> None:
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": LOSS.format(name="one")})
    assert offers(site.path) == offers(site.path)
    assert surveys == ["acme_zoo"]


def test_a_new_version_is_surveyed_again(site: Site, surveys: list[str]) -> None:
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": LOSS.format(name="one")})
    offers(site.path)
    site.remove("acme")
    site.add("acme", "1.1", ENTRY, {"acme_zoo.py": LOSS.format(name="other")})
    assert names(offers(site.path)) == ["other"]
    assert len(surveys) == 2


def test_a_failure_is_remembered_until_something_is_installed(
    site: Site, surveys: list[str]
) -> None:
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": "import not_there_yet\n" + LOSS})
    assert offers(site.path)[0].problem
    assert offers(site.path)[0].problem
    assert surveys == ["acme_zoo"]
    (site.folder / "not_there_yet.py").write_text("")
    (site.folder / "acme_zoo.py").write_text("import not_there_yet\n" + LOSS.format(name="one"))
    assert names(offers(site.path)) == ["one"]


def test_an_operating_system_error_is_not_remembered(site: Site, surveys: list[str]) -> None:
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": 'open("/not/there")\n'})
    offers(site.path)
    found = offers(site.path)
    assert reason(found[0]).startswith("FileNotFoundError")
    assert len(surveys) == 2


def test_a_record_that_is_cut_off_costs_that_plugin_alone_and_is_asked_for_again(
    site: Site, museum: Path, surveys: list[str]
) -> None:
    # Files of this process end after 20 bytes, as on a disk that is full.
    cut = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))\n"
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": cut + LOSS.format(name="one")})
    site.install(museum / "healthy")
    offers(site.path)
    found = {one.source.module: reason(one) for one in offers(site.path)}
    assert found == {"acme_zoo": "what it found could not be written whole", "healthy": ""}
    assert surveys == ["acme_zoo", "healthy", "acme_zoo"]


def test_a_hanging_plugin_is_stopped_named_and_waited_for_once(
    site: Site, museum: Path, surveys: list[str]
) -> None:
    site.install(museum / "hangs")
    site.install(museum / "healthy")
    started = time.monotonic()
    hung = next(one for one in offers(site.path, limit=2.0) if one.source.module == "hangs")
    assert time.monotonic() - started < 10
    assert reason(hung).startswith("it took more than 2 s to be imported and asked")
    assert "zoo plugins --retry" in reason(hung)
    assert hung.problem is not None
    assert "still thinking" in hung.problem.detail
    offers(site.path, limit=0.1)
    assert surveys.count("hangs") == 1
    forget_failures()
    offers(site.path, limit=0.1)
    assert surveys == ["hangs", "healthy", "hangs"]


def test_what_a_plugin_starts_ends_with_its_survey(site: Site, tmp_path: Path) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    listening = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    starts = f"""
import subprocess

with open({str(held)!r}, "w") as held:
    subprocess.Popen(["sh", "-c", "sleep 5; echo alive"], stdout=held)
"""
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": starts + LOSS.format(name="one")})
    assert names(offers(site.path)) == ["one"]
    os.set_blocking(listening, True)
    assert os.read(listening, 9) == b""
    os.close(listening)


def test_a_survey_that_cannot_be_started_leaves_no_other_running(
    site: Site, museum: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def one_process(command: Any, **options: Any) -> subprocess.Popen[bytes]:  # noqa: ANN401 - Popen's
        if started:
            raise BlockingIOError
        started.append(popen(command, **options))
        return started[0]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", one_process)
    site.install(museum / "hangs")
    site.install(museum / "healthy")
    with pytest.raises(BlockingIOError):
        offers(site.path)
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"fingerprint": 1}', b"\xff\xfe"])
def test_a_damaged_record_is_rebuilt(site: Site, surveys: list[str], damage: bytes) -> None:
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": LOSS.format(name="one")})
    offers(site.path)
    (record,) = (folders.cache() / "catalog").iterdir()
    record.write_bytes(damage)
    assert names(offers(site.path)) == ["one"]
    assert len(surveys) == 2
    json.loads(record.read_bytes())


def test_a_record_of_another_zoo_with_unknown_fields_is_rebuilt(
    site: Site, surveys: list[str]
) -> None:
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": LOSS.format(name="one")})
    offers(site.path)
    (record,) = (folders.cache() / "catalog").iterdir()
    value = json.loads(record.read_bytes())
    value["components"]["loss"][0]["colour"] = "blue"
    record.write_text(json.dumps(value))
    assert names(offers(site.path)) == ["one"]
    assert len(surveys) == 2


def test_without_a_cache_folder_everything_works_from_memory(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a_file"
    file.write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(file / "cache"))
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": LOSS.format(name="one")})
    assert names(offers(site.path)) == ["one"]


def test_only_the_newest_records_of_a_plugin_are_kept(site: Site) -> None:
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": LOSS.format(name="one")})
    folder = folders.cache() / "catalog"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"acme-{number:016x}.json").write_text("{}")
    (folder / "acme-extra-0000000000000000.json").write_text("{}")
    offers(site.path)
    assert len(list(folder.glob("acme-????????????????.json"))) == 8
    assert (folder / "acme-extra-0000000000000000.json").exists()


def test_entries_of_a_plugin_are_offered(site: Site) -> None:
    text = (
        LOSS.format(name="one") + '\n@zoo.hookimpl\ndef zoo_entries():\n    return ["a:b.toml"]\n'
    )
    site.add("acme", "1.0", ENTRY, {"acme_zoo.py": text})
    assert offers(site.path)[0].entries == ("a:b.toml",)
