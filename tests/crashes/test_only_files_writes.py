"""Whatever zoo writes, it writes through `zoo.files` (D1): looked for in the code itself."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ZOO = Path(__file__).parents[2] / "zoo"
#: methods that write, move or cut off a file, whoever has them
METHODS = {
    *("write_text", "write_bytes", "save_file", "rename", "replace", "touch", "symlink_to"),
    *("hardlink_to", "truncate", "savez", "tofile"),
}
#: functions of modules that do
FUNCTIONS = {
    *("torch.save", "np.save", "np.savez", "numpy.save", "os.replace", "os.rename", "os.renames"),
    *("os.truncate", "os.ftruncate", "os.pwrite", "os.write", "os.writev", "os.link"),
    *("os.symlink", "shutil.move", "shutil.copy", "shutil.copy2", "shutil.copyfile"),
    *("shutil.copytree", "safetensors.torch.save_file", "tempfile.mkstemp", "os.fdopen"),
}
#: what else is called so or may write, by module: the call, and why
ALLOWED = {
    "caches.py": {
        "Path(temp, name).symlink_to": "what can but be read, found in a folder for the time being"
    },
    "cli/streams.py": {"os.open": "the null device", "open": "likewise"},
    "cli/run.py": {"formatter.write_text": "click's help text"},
    "data/packs.py": {
        "self.file.open": "rows of the cache, which count once `zoo.files` has written the index",
        "stream.truncate": "room for them",
    },
    "data/scratch.py": {
        "self.file.open": "scratch pixels of one process in the cache folder, kept by nobody",
        "stream.truncate": "room for them",
        "file.open": "a row of either",
    },
    "data/worker.py": {"os.fdopen": "a child's answers, through a pipe"},
    "plugins/child.py": {"Path(sys.argv[2]).write_text": "a child's answer, to its parent alone"},
    "plugins/children.py": {"self._output.open": "what a child prints, for its parent alone"},
    "locks.py": {
        "os.open": "the lock itself",
        "os.ftruncate": "who holds it, written while holding it, read for a message only",
        "os.pwrite": "likewise",
    },
    "fetch.py": {
        "urllib.request.build_opener(Redirect).open": "a request",
        "tempfile.mkstemp": "a download, under a temporary name in the cache",
        "os.fdopen": "likewise",
        "part.replace": "its name, when its hash is right",
    },
}


def writes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every call in a module that could write a file: its line and what is called."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        method = name.rpartition(".")[2]
        if name == "os.open":
            found = any(flag in ast.unparse(node) for flag in ("WRONLY", "RDWR", "CREAT", "APPEND"))
        elif method == "open" and name != "Image.open":  # Pillow's reads, whatever it is given
            found = _may_write(node, takes_path=name in {"open", "io.open"})
        else:
            named = isinstance(node.func, ast.Attribute) and method in METHODS
            found = name in FUNCTIONS or (named and not _is_text(node))
        if found:
            yield node.lineno, name


def _may_write(node: ast.Call, *, takes_path: bool) -> bool:
    """Whether an `open` names a mode that writes, or one that cannot be told."""
    given = [word.value for word in node.keywords if word.arg == "mode"] or [
        *node.args[takes_path : takes_path + 1]
    ]
    mode = given[0] if given else ast.Constant("r")
    return not isinstance(mode, ast.Constant) or bool({*"wax+"} & {*str(mode.value)})


def _is_text(node: ast.Call) -> bool:
    """`text.replace(old, new)`: two arguments, where a path's has one."""
    return ast.unparse(node.func).endswith(".replace") and len(node.args) != 1


def modules() -> list[str]:
    """All but the kit, which writes into the temporary folder of a check alone."""
    found = (path.relative_to(ZOO) for path in ZOO.rglob("*.py"))
    return sorted(str(path) for path in found if path.parts[0] != "testing")


@pytest.mark.parametrize("module", [name for name in modules() if name != "files.py"])
def test_nothing_is_written_but_through_the_one_durable_way(module: str) -> None:
    found = {name for _, name in writes(ast.parse((ZOO / module).read_text("utf-8")))}
    assert found == set(ALLOWED.get(module, ())), "what writes no more comes off the list, too"


def test_no_room_takes_the_disk_from_elsewhere() -> None:
    """The search above goes by names, so the names must be what they seem."""
    for module in modules():
        for node in ast.walk(ast.parse((ZOO / module).read_text("utf-8"))):
            if module != "files.py" and _imports_from(node, "os", "shutil", "io"):
                names = {f"{node.module}.{one.name}" for one in node.names}
                assert not names & {*FUNCTIONS, "io.open", "os.open", "io.FileIO"}, module
            if _imports_from(node, "safetensors.torch", "safetensors.numpy"):
                assert "save_file" not in ast.unparse(node), module


def _imports_from(node: ast.AST, *names: str) -> TypeGuard[ast.ImportFrom]:
    return isinstance(node, ast.ImportFrom) and node.module in names


PLANTED = {
    "open(path, 'w')": True,
    "path.open('ab')": True,
    "path.open(mode='x')": True,
    "path.open(mode)": True,
    "open(path)": False,
    "path.open('rb')": False,
    "path.open(encoding='utf-8')": False,
    "path.write_text('x')": True,
    "torch.save(state, path)": True,
    "a.replace(b)": True,
    "'text'.replace('a', 'b')": False,
    "write_text(path, 'x')": False,
    "os.open(path, os.O_RDWR)": True,
    "os.open(path, os.O_RDONLY)": False,
    "shutil.move(a, b)": True,
}


@pytest.mark.parametrize("code", PLANTED)
def test_the_search_finds_what_writes_and_nothing_else(code: str) -> None:
    assert bool([*writes(ast.parse(code))]) == PLANTED[code]
