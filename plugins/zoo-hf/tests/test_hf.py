"""Models that transformers itself made and saved, small and random, read back through zoo."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
import zoo_hf
from PIL import Image
from safetensors.torch import load_file, save_file
from zoo_hf import hub
from zoo_hf.build import build
from zoo_hf.families import POOLING
from zoo_hf.processors import flips_channels

import zoo
from zoo.data.preprocess import file_pixels
from zoo.errors import PluginFault, Unavailable, UsageError
from zoo.specify import specified

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AUTO = next(iter(zoo_hf.zoo_backbones()))
_VIT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
_SWIN = {
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [1, 2],
    "image_size": 32,
    "patch_size": 4,
    "window_size": 4,
}
_STAGES = {"hidden_sizes": [8, 12], "depths": [1, 1]}
_CONV = {"hidden_sizes": [8, 12], "depths": [1, 1], "num_stages": 2}
_SQUARE = {"size": {"height": 32, "width": 32}}


@dataclass(frozen=True)
class Family:
    """A tiny model of a family.

    Args:
        config: class and arguments of its configuration.
        model: the class that is saved.
        processor: class and arguments of its image processor.
        classifier: the module whose input are the pooled features; "" where the model pools.
    """

    config: tuple[str, dict[str, Any]]
    model: str
    processor: tuple[str, dict[str, Any]]
    classifier: str = "classifier"


FAMILIES = {
    "vit": Family(("ViTConfig", _VIT), "ViTForImageClassification", ("ViTImageProcessor", _SQUARE)),
    "vit_base_model": Family(("ViTConfig", _VIT), "ViTModel", ("ViTImageProcessor", _SQUARE), ""),
    "deit": Family(
        ("DeiTConfig", _VIT),
        "DeiTForImageClassification",
        ("DeiTImageProcessor", {"size": {"height": 40, "width": 40}, "crop_size": _SQUARE["size"]}),
    ),
    "beit": Family(
        ("BeitConfig", _VIT), "BeitForImageClassification",
        ("BeitImageProcessor", {**_SQUARE, "do_center_crop": False}),
    ),
    "dinov2": Family(
        ("Dinov2Config", _VIT), "Dinov2Model",
        ("BitImageProcessor", {"size": {"shortest_edge": 40}, "crop_size": _SQUARE["size"]}), "",
    ),
    "swin": Family(
        ("SwinConfig", _SWIN), "SwinForImageClassification", ("ViTImageProcessor", _SQUARE)
    ),
    "swinv2": Family(
        ("Swinv2Config", _SWIN), "Swinv2ForImageClassification", ("ViTImageProcessor", _SQUARE)
    ),
    "convnextv2": Family(
        ("ConvNextV2Config", _CONV), "ConvNextV2ForImageClassification",
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    ),
    "resnet": Family(
        ("ResNetConfig", {**_STAGES, "embedding_size": 8, "layer_type": "basic"}),
        "ResNetForImageClassification",
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 48}, "crop_pct": 0.8}),
    ),
    "clip": Family(
        ("CLIPConfig", {"vision_config": _VIT, "text_config": {
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "vocab_size": 20,
        }}),
        "CLIPModel",
        ("CLIPImageProcessor", {"size": {"shortest_edge": 32}, "crop_size": _SQUARE["size"]}), "",
    ),
    "siglip": Family(
        ("SiglipVisionConfig", _VIT), "SiglipVisionModel", ("SiglipImageProcessor", _SQUARE), ""
    ),
    "mobilevit": Family(
        ("MobileViTConfig", {
            "hidden_sizes": [12, 16, 20], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 24],
            "image_size": 32, "num_attention_heads": 2,
        }),
        "MobileViTForImageClassification",
        ("MobileViTImageProcessor", {"size": {"shortest_edge": 36}, "crop_size": _SQUARE["size"]}),
    ),
}  # fmt: skip
each_family = pytest.mark.parametrize("name", FAMILIES)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's model, as `save_pretrained` wrote it."""

    @functools.cache
    def folder(name: str) -> Path:
        family, place = FAMILIES[name], tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        config = getattr(transformers, family.config[0])(**family.config[1])
        getattr(transformers, family.model)(config).eval().save_pretrained(place)
        kind, arguments = family.processor
        getattr(transformers, kind)(**arguments).save_pretrained(place)
        return place

    return folder


def backbone(folder: Path) -> tuple[zoo.Component, dict[str, Any]]:
    options = {"model": str(folder), "config": None, "processor": None}
    return specified(AUTO, options, "hf/auto (zoo-hf)")


def keep_input(kept: list[torch.Tensor], _: object, arguments: tuple[torch.Tensor]) -> None:
    kept.append(arguments[0])


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_plugin_is_listed_and_specified_without_torch_or_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", **_VIT}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 32}))
    code = (
        "import sys, zoo_hf; c = next(iter(zoo_hf.zoo_backbones()));"
        "from zoo_hf.hub import specify;"
        f"print(specify(c, {{'model': {str(tmp_path)!r}}}).weights[0].preprocess.size);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@each_family
def test_features_are_those_that_the_models_own_classifier_sees(
    name: str, saved: Callable[[str], Path]
) -> None:
    family, folder = FAMILIES[name], saved(name)
    _, options = backbone(folder)
    ours = build(folder / "model.safetensors", **options).eval()
    report = ours.__dict__["load_report"]
    assert report.matched == report.total
    theirs = getattr(transformers, family.model).from_pretrained(folder).eval()
    seen: list[torch.Tensor] = []
    given = images()
    flipped = given.flip(1) if name == "mobilevit" else given
    with torch.no_grad():
        if family.classifier:
            theirs.get_submodule(family.classifier).register_forward_pre_hook(
                functools.partial(keep_input, seen)
            )
            theirs(pixel_values=flipped)
        elif name == "clip":
            seen.append(theirs.vision_model(pixel_values=given).pooler_output)
        elif name == "vit_base_model":
            seen.append(theirs(pixel_values=given).last_hidden_state[:, 0])
        else:
            seen.append(theirs(pixel_values=given).pooler_output)
        found = ours(given)
    torch.testing.assert_close(found, seen[0].flatten(1))


@each_family
def test_it_builds_without_weights_on_the_meta_device(
    name: str, saved: Callable[[str], Path]
) -> None:
    component, options = backbone(saved(name))
    with torch.device("meta"):
        module = build(None, **options).eval()
        size = component.weights[0].preprocess.size
        features = module(torch.empty(2, 3, *size))
    assert features.ndim == 2
    assert features.shape[0] == 2


@each_family
def test_pixels_are_those_of_the_models_image_processor(
    name: str, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = saved(name)
    component, _ = backbone(folder)
    recipe = component.weights[0].preprocess
    wave = np.add.outer(np.sin(np.arange(60) / 7), np.cos(np.arange(90) / 9))
    tones = np.stack([wave, wave[::-1], wave[:, ::-1]], axis=-1)
    picture = Image.fromarray(((tones + 2) * 63).astype(np.uint8))
    file = tmp_path / "picture.png"
    picture.save(file)
    ours = file_pixels(file, recipe).astype(np.float32) / 255
    ours = (ours - np.array(recipe.mean)) / np.array(recipe.std)
    kind = FAMILIES[name].processor[0]
    processor = getattr(transformers, kind).from_pretrained(folder)
    theirs = processor(picture, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
    told = json.loads((folder / "preprocessor_config.json").read_text())
    if flips_channels(told, {}):
        theirs = theirs[..., ::-1]
    assert ours.shape == theirs.shape
    step = 1 / 255 / min(recipe.std)
    assert np.abs(ours - theirs).mean() < step
    assert np.abs(ours - theirs).max() < 6 * step


def test_what_was_looked_up_once_is_not_looked_up_again(saved: Callable[[str], Path]) -> None:
    component, options = backbone(saved("vit"))
    again, same = specified(AUTO, {**options}, "hf/auto")
    assert (again, same) == (component, options)
    json.loads(options["config"])


def test_a_model_is_trained_stored_and_answers_without_its_folder(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    import shutil

    folder = shutil.copytree(saved("convnextv2"), tmp_path / "model")
    (tmp_path / "pictures").mkdir()
    for number in range(2):
        Image.new("RGB", (40, 40), (90 * number, 60, 30)).save(tmp_path / f"pictures/{number}.png")
    run = zoo.run(
        "hf/auto+linear+ce",
        "demo",
        out=tmp_path / "run",
        settings={"backbone.model": str(folder), "train": "probe", "epochs": 3, "seed": 0},
    )
    shutil.rmtree(folder)
    again = zoo.load(run.folder)
    answers = again(sorted((tmp_path / "pictures").glob("*.png")))
    assert len(answers) == 2


# Bad input


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "name a model"),
        ("./nowhere", "is no folder"),
        ("just-a-name", "neither ORG/NAME"),
        ("a/b/c", "neither ORG/NAME"),
    ],
)
def test_a_model_that_cannot_be_meant_is_a_usage_error(model: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        specified(AUTO, {"model": model, "config": None, "processor": None}, "hf/auto")


@pytest.mark.parametrize(
    ("config", "processor", "words"),
    [
        ("{", "{}", "is no JSON"),
        ("[]", "{}", "no JSON object"),
        ('{"model_type": "bert"}', "{}", "model_type is 'bert'"),
        ('{"model_type": "vit"}', '{"do_resize": false}', "does not resize"),
        ('{"model_type": "vit"}', '{"do_rescale": false}', "does not rescale"),
        ('{"model_type": "vit"}', '{"rescale_offset": true}', "shifts"),
        ('{"model_type": "vit"}', '{"resample": 9}', "filter 9"),
        ('{"model_type": "vit"}', '{"size": {"longest_edge": 3}}', "longest_edge"),
    ],
)
def test_a_folder_that_holds_no_vision_model_is_told_why(
    config: str, processor: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(config)
    (tmp_path / "preprocessor_config.json").write_text(processor)
    with pytest.raises(UsageError, match=words):
        backbone(tmp_path)


def test_a_folder_without_the_files_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json"):
        backbone(tmp_path)


def test_weights_of_another_model_are_refused(saved: Callable[[str], Path]) -> None:
    _, options = backbone(saved("vit"))
    with pytest.raises(zoo.ZooError, match="does not fit"):
        build(saved("resnet") / "model.safetensors", **options)


# The hub


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


def test_every_family_is_one_of_transformers() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    assert set(POOLING) <= set(CONFIG_MAPPING_NAMES)


def test_what_is_curated_is_named_by_what_it_is() -> None:
    for name, (model, licence, summary) in zoo_hf.CURATED.items():
        assert model.count("/") == 1
        assert licence
        assert summary
        assert name.replace("_", "") in model.replace("-", "").replace("_", "").lower()


def test_what_a_plugin_may_not_specify_is_its_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def strange(component: zoo.Component, _: object) -> zoo.Component:
        from dataclasses import replace

        return replace(component, name="another")

    monkeypatch.setattr(hub, "specify", strange)
    with pytest.raises(PluginFault, match="it changes name"):
        specified(AUTO, {"model": "a/b"}, "hf/auto")
