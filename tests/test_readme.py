"""The README tells the truth: its commands, its Python and its plugin are run as they stand.

Every run is planned with `--dry-run`, then trained for two epochs, with the weights that come in a
package where the README's would come from a model hub.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo import errors
from zoo.cli import main
from zoo.data.demo import demo_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Blocks

FIRST = "pip install uv && uv run zoo run demo"
SECOND = "uv run pytest"
#: the backbone whose weights need no network
LOCAL = "lite0"
README = Path(__file__).parents[1] / "README.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, readme: Blocks) -> Iterator[Path]:
    """A reader's working folder: some images with classes, some without, and the registry."""
    folder = tmp_path_factory.mktemp("reader")
    for kind in ("balloon", "house", "tree"):
        (folder / "imgs" / kind).mkdir(parents=True)
        for picture in sorted((demo_folder() / kind).iterdir())[:5]:
            shutil.copy(picture, folder / "imgs" / kind)
    (folder / "new").mkdir()
    shutil.copy(demo_folder() / "tree" / "39.jpg", folder / "new" / "picture.jpg")
    (folder / "registry.toml").write_text(readme.files["registry.toml"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def zoo(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_first_two_commands_are_the_two_that_everybody_types(readme: Blocks) -> None:
    assert readme.commands[:2] == [FIRST, SECOND]


def test_every_command_does_what_it_says(readme: Blocks, place: Path) -> None:
    for line in readme.commands[2:]:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "zoo"
        if arguments[0] == "bench":
            arguments = [re.sub(r"^resnet18", LOCAL, part) for part in arguments]
            arguments += ["--seconds", "0.01"]
        if arguments[0] == "run":
            assert zoo(*arguments, "--dry-run") == 0, line
            arguments = [re.sub(r"^resnet18", LOCAL, part) for part in arguments]
            if "founding" in arguments or "--dry-run" in arguments:
                continue
            if "probe.solver=lbfgs" not in arguments:  # which has no use for them
                arguments += ["--epochs", "2"]
        assert zoo(*arguments) == 0, line
    assert (place / "runs" / "first" / "model" / "model.safetensors").exists()


def test_the_python_runs(readme: Blocks, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    (code,) = readme.python
    exec(compile(code, str(README), "exec"), names)  # noqa: S102 - the point of the test
    assert place.joinpath(names["run"].folder, "summary.json").exists()
    shown = capsys.readouterr().out
    assert names["answer"].label in shown
    assert "11176512" in shown
    assert shown.endswith("a1_in1k\n")


def test_the_run_folder_holds_what_is_listed_and_nothing_else(place: Path) -> None:
    told = re.findall(
        r"`([\w.]+/?)`", "".join(re.findall(r"^\| (`.+?) \|", README.read_text(), re.MULTILINE))
    )
    run = place / "runs" / "first"
    assert {f"{path.name}/" if path.is_dir() else path.name for path in run.iterdir()} == set(told)


def test_the_table_of_exit_codes_is_that_of_the_errors() -> None:
    rows = re.findall(r"^\| (\d+(?:, \d+)*) \|", README.read_text(), re.MULTILINE)
    told = {int(code) for row in rows for code in row.split(", ")}
    tree = [errors.ZooError]
    for error in tree:
        tree += error.__subclasses__()
    assert told == {0, errors.TERMINATED, errors.HUNG_UP, *(error.exit_code for error in tree)}


def test_the_plugin_takes_twenty_lines(readme: Blocks) -> None:
    lines = [line for name in readme.plugin for line in readme.files[name].splitlines()]
    assert len([line for line in lines if line]) < 20


def test_every_file_that_is_linked_is_there() -> None:
    for page in [README, *README.parent.glob("*.md"), *README.parent.glob("*/README.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_map_names_every_room_once() -> None:
    zoo_folder = README.parent / "zoo"
    rooms = {path.name for path in zoo_folder.glob("[!_]*.py")}
    rooms |= {f"{path.parent.name}/" for path in zoo_folder.glob("*/__init__.py")}
    table = "".join(
        re.findall(r"^\| (`.+?) \|", (zoo_folder / "README.md").read_text(), re.MULTILINE)
    )
    assert sorted(re.findall(r"`([\w./]+)`", table)) == sorted(rooms)
