from __future__ import annotations

import threading

import pytest

from zoo.ahead import Ahead


def test_the_result_is_waited_for_and_progress_is_told_on_the_way() -> None:
    asked = threading.Event()

    def work(progress: object) -> str:
        assert callable(progress)
        progress(3, 4)
        assert asked.wait(10)
        progress(4, 4)
        return "found"

    told: list[int] = []

    def progress(done: int) -> None:
        told.append(done)
        if done == 3:
            asked.set()

    assert Ahead(work).result(progress) == "found"
    assert told[-1] == 4
    assert told == sorted(told)


def test_what_the_work_raises_is_raised_to_whoever_asks() -> None:
    def work(_: object) -> None:
        raise MemoryError("gone")

    with pytest.raises(MemoryError, match="gone"):
        Ahead(work).result(lambda _: None)


def test_whoever_waits_may_give_up() -> None:
    over = threading.Event()

    def progress(_: int) -> None:
        raise KeyboardInterrupt

    ahead = Ahead(lambda _: over.wait(10))
    with pytest.raises(KeyboardInterrupt):
        ahead.result(progress)
    over.set()
    assert ahead.give_up() is True


def test_work_that_is_given_up_ends_at_its_next_progress() -> None:
    begun = threading.Event()
    ended: list[str] = []

    def work(progress: object) -> None:
        assert callable(progress)
        try:
            while True:
                progress(1, 2)
                begun.set()
        finally:
            ended.append("in good order")

    ahead = Ahead(work)
    assert begun.wait(10)
    assert ahead.give_up() is None
    assert ended == ["in good order"]


def test_what_went_wrong_is_no_matter_once_it_is_given_up() -> None:
    def work(_: object) -> None:
        raise OSError

    assert Ahead(work).give_up() is None


def test_what_was_had_is_not_given_again() -> None:
    ahead = Ahead(lambda _: "found")
    assert ahead.result(lambda _: None) == "found"
    assert ahead.give_up() is None
