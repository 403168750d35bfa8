"""Models of a hub, which a local server stands for, and what becomes of them afterwards."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING

import pytest
import zoo_hf
from safetensors.torch import load_file, save_file

import zoo
from zoo.errors import Unavailable
from zoo.specify import specified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AUTO = next(iter(zoo_hf.zoo_backbones()))


@pytest.fixture
def hub_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[dict[str, Path]], None]]:
    """A local server in the hub's place: ORG/NAME, or ORG/NAME@COMMIT → folder."""
    models: dict[str, Path] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            model, _, file = self.path.strip("/").partition("/resolve/")
            revision, _, file = file.partition("/")
            place = models.get(model if revision == "main" else f"{model}@{revision}")
            if place is None or not (place / file).is_file():
                self.send_error(404)
                return
            data = (place / file).read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            if (place / ".commit").exists():
                self.send_header("X-Repo-Commit", (place / ".commit").read_text())
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield models.update
    server.shutdown()
    server.server_close()


def test_a_model_of_the_hub_is_planned_fetched_and_trained(
    hub_of: Callable[[dict[str, Path]], None], saved: Callable[[str], Path], tmp_path: Path
) -> None:
    hub_of({"google/vit-base-patch16-224": saved("vit")})
    run = zoo.run(
        "hf/vit_base_patch16_224+linear+ce",
        "demo",
        out=tmp_path / "run",
        settings={"train": "probe", "seed": 0},
    )
    plan = json.loads((run.folder / "plan.json").read_text())
    assert plan["weights"]["source"] == "hf-hub:google/vit-base-patch16-224"
    assert plan["backbone"]["component"]["weights"][0]["licence"] == "Apache-2.0"
    assert plan["preprocess"]["size"] == [32, 32]


def test_a_model_is_pinned_to_the_commit_that_it_was_planned_with(
    hub_of: Callable[[dict[str, Path]], None], saved: Callable[[str], Path], tmp_path: Path
) -> None:
    import shutil

    commit = 40 * "c"
    model = shutil.copytree(saved("vit"), tmp_path / "model")
    (model / ".commit").write_text(commit)
    hub_of({"acme/net": model, f"acme/net@{commit}": model})
    settings = {"train": "probe", "seed": 0, "backbone.model": "acme/net"}
    run = zoo.run("hf/auto+linear+ce", "demo", out=tmp_path / "run", settings=settings)
    plan = json.loads((run.folder / "plan.json").read_text())
    assert plan["weights"]["source"] == f"hf-hub:acme/net@{commit}"
    assert plan["loaded"]["commit"] == commit
    other = shutil.copytree(saved("swin"), tmp_path / "other")
    hub_of({"acme/net": other})  # the branch moved on; the commit is what it was
    shutil.rmtree(tmp_path / "cache" / "weights")
    again = zoo.repeat(run.folder, out=tmp_path / "again")
    assert again.summary["repeats"]["drift"] == []
    assert again.summary["val"] == run.summary["val"]


def test_a_folder_whose_weights_were_swapped_is_drift(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(saved("vit"), tmp_path / "model")
    settings = {"train": "probe", "seed": 0, "backbone.model": str(folder)}
    run = zoo.run("hf/auto+linear+ce", "demo", out=tmp_path / "run", settings=settings)
    weights = folder / "model.safetensors"
    save_file({name: one + 1 for name, one in load_file(weights).items()}, weights)
    with pytest.raises(zoo.ZooError, match=f"weights: {weights} is another file"):
        zoo.repeat(run.folder, out=tmp_path / "again")


def test_a_model_that_the_hub_does_not_have_cannot_be_had(
    hub_of: Callable[[dict[str, Path]], None],
) -> None:
    hub_of({})
    with pytest.raises(
        Unavailable, match=r"The files of acme/none cannot be fetched: .* 404"
    ) as no:
        specified(AUTO, {"model": "acme/none", "config": None, "processor": None}, "hf/auto")
    assert no.value.exit_code == 69
