from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from zoo.plugins.child import survey

if TYPE_CHECKING:
    from tests.plugins.conftest import Site

TWO_FAULTS = """
import zoo

@zoo.hookimpl
def zoo_heads():
    yield zoo.Component(name="A", target="x", needs=("features",), provides=("logits",))
"""
WRAPPER = """
import zoo


@zoo.hookimpl(wrapper=True)
def zoo_heads():
    return (yield)
"""


def test_a_survey_is_json_with_the_time_that_the_import_took(site: Site) -> None:
    text = TWO_FAULTS.replace('"A"', '"a"').replace('"x"', '"x:y"')
    site.add("acme", "1.0", {"a": "acme_fine"}, {"acme_fine.py": text})
    record = survey("acme_fine")
    assert json.loads(json.dumps(record)) == record
    assert record["components"]["head"] == [
        {"name": "a", "target": "x:y", "needs": ["features"], "provides": ["logits"]}
    ]
    assert record["problem"] is None
    assert 0 < record["seconds"] < 5


def test_the_reason_counts_the_faults_and_the_detail_lists_them(site: Site) -> None:
    site.add("acme", "1.0", {"a": "acme_two"}, {"acme_two.py": TWO_FAULTS})
    problem = survey("acme_two")["problem"]
    assert problem["reason"].startswith("head 'A' is called 'A'")
    assert problem["reason"].endswith("(and 1 more)")
    assert "has the target 'x'" in problem["detail"]


def test_a_wrapper_around_other_plugins_lists_is_refused(site: Site) -> None:
    site.add("acme", "1.0", {"a": "acme_wraps"}, {"acme_wraps.py": WRAPPER})
    assert "is a wrapper" in survey("acme_wraps")["problem"]["reason"]


def test_an_entry_that_is_no_resource_is_refused(site: Site) -> None:
    text = "import zoo\n\n@zoo.hookimpl\ndef zoo_entries():\n    return ['file.toml']\n"
    site.add("acme", "1.0", {"a": "acme_entry"}, {"acme_entry.py": text})
    assert "not 'package:file.toml'" in survey("acme_entry")["problem"]["reason"]


def test_the_surveying_process_itself_is_cold() -> None:
    program = (
        "import sys, zoo.plugins.child; "
        "print(sorted({'torch', 'torchvision', 'timm', 'numpy'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
