from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from zoo.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    #: words of a command line → exit code, standard output, standard error
    Zoo = Callable[..., tuple[object, str, str]]


@pytest.fixture
def zoo(capsys: pytest.CaptureFixture[str]) -> Zoo:
    """Run the command line here; gives exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run
