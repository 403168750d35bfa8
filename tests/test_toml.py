from pathlib import Path

import pytest

from zoo import toml
from zoo.errors import InputMissing, StorageFault, UsageError

TEXT = '''# a comment
schema = 1

[entries.a]
spec = "x"   # not = this
probe.epochs = 3
summary = """
lr = 1
[entries.b]
"""
"quoted.key" = 4
inline = { deep = { value = 1 } }

[ entries . "b" ]
spec = 'y'
[entries.b.head]
dropout = 0.5
'''


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "x.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("schema",), 2),
        (("entries", "a"), 4),
        (("entries", "a", "spec"), 5),
        (("entries", "a", "probe", "epochs"), 6),
        (("entries", "a", "probe"), 6),
        (("entries", "a", "lr"), 4),
        (("entries", "a", "quoted.key"), 11),
        (("entries", "a", "inline", "deep", "value"), 12),
        (("entries", "b"), 14),
        (("entries", "b", "spec"), 15),
        (("entries", "b", "head", "dropout"), 17),
        (("nowhere",), 1),
    ],
)
def test_the_line_of_a_key_is_found(tmp_path: Path, path: tuple[str, ...], line: int) -> None:
    document = toml.read(written(tmp_path, TEXT), label="x.toml")
    assert document.at(*path) == f"x.toml:{line}"


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    plain = toml.read(written(tmp_path, TEXT), label="x.toml")
    windows = b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode()
    assert toml.read(written(tmp_path, windows), label="x.toml") == plain


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = 1\nb = \n", "x.toml:2: Invalid value"),
        ("a = 1\na = 2\n", "x.toml:2: "),
        ("a = 1\n[b", "x.toml:2: "),
        (b"a = 1\nb = '\xff'\n", "x.toml:2: this is not UTF-8 text"),
        ("x" * 1_000_001, "at most 1,000,000"),
        ("a = " + "[" * 100_000, "too deep"),
    ],
)
def test_what_is_no_toml_is_refused_with_its_line(
    tmp_path: Path, text: str | bytes, complaint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        toml.read(written(tmp_path, text), label="x.toml")
    assert complaint in caught.value.message


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        toml.read(tmp_path / "none.toml", label="none.toml")
    with pytest.raises(StorageFault):
        toml.read(tmp_path, label="folder")
