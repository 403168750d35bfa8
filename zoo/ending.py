"""How a run ends, whatever ends it: told in exit.json, and nothing left of what never began."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from zoo import hot, runfolder
from zoo.errors import Diverged, OutOfMemory, Stopped, StorageFault, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.progress import Listener
    from zoo.runfolder import RunFolder
    from zoo.stopping import Stop

_SMALLER = "Use a smaller --batch-size or --image-size."


@contextmanager
def ending(folder: RunFolder, hears: Listener, stop: Stop, *, resumed: bool) -> Iterator[None]:
    """Write exit.json however the run ends; leave nothing where a new run has trained nothing."""
    stop.before_exit = partial(_say_ending, folder, "stopped", reason="by a second signal")
    try:
        with explained():
            yield
    except ZooError as error:
        status = "stopped" if isinstance(error, Stopped) else "failed"
        if isinstance(error, Stopped) and not error.hint:
            error.hint = f"Go on with: zoo resume {folder.path}"
        if isinstance(error, Diverged):
            with suppress(StorageFault):
                folder.write(runfolder.DIAGNOSIS, error.facts)
        kept = resumed or status == "stopped"
        _say_ending(folder, status, error.exit_code, error.message, kept=kept)
        raise
    except Exception as error:
        _say_ending(folder, "failed", 1, f"{type(error).__name__}: {error}", kept=True)
        raise
    else:
        folder.finish("finished", 0)
    finally:
        hears.end()  # a stage that was cut short


@contextmanager
def explained() -> Iterator[None]:
    """Say of a machine that has no memory or no disk left what can be done.

    Raises:
        OutOfMemory: on the host or on the device.
        StorageFault: reading or writing failed.
    """
    try:
        yield
    except ZooError:
        raise
    except MemoryError as error:
        raise OutOfMemory("There is not enough memory.", hint=_SMALLER) from error
    except OSError as error:
        raise StorageFault(f"Reading or writing failed: {error}.") from error
    except Exception as error:
        if hot.room("device").is_out_of_memory(error):
            raise OutOfMemory("The device has not enough memory.", hint=_SMALLER) from error
        raise


def _say_ending(
    folder: RunFolder, status: str, code: int, reason: str, *, kept: bool = True
) -> None:
    # What happened matters more than that a full disk has no room to note it.
    with suppress(OSError, StorageFault):
        if not kept:
            runfolder.discard_if_unused(folder)
        if folder.place.is_dir():
            folder.finish(status, code, reason)
