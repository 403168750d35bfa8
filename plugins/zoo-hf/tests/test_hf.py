"""Models that transformers itself made and saved, small and random, read back through zoo."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
import zoo_hf
from PIL import Image
from zoo_hf import hub
from zoo_hf.build import build
from zoo_hf.families import POOLING
from zoo_hf.processors import flips_channels

import zoo
from zoo.data.preprocess import file_pixels
from zoo.errors import PluginFault, UsageError
from zoo.specify import specified

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AUTO = next(iter(zoo_hf.zoo_backbones()))


def backbone(folder: Path) -> tuple[zoo.Component, dict[str, Any]]:
    options = {"model": str(folder), "config": None, "processor": None}
    return specified(AUTO, options, "hf/auto (zoo-hf)")


def keep_input(kept: list[torch.Tensor], _: object, arguments: tuple[torch.Tensor]) -> None:
    kept.append(arguments[0])


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_plugin_is_listed_and_specified_without_torch_or_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", "image_size": 32}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": 32}))
    code = (
        "import sys, zoo_hf; c = next(iter(zoo_hf.zoo_backbones()));"
        "from zoo_hf.hub import specify;"
        f"print(specify(c, {{'model': {str(tmp_path)!r}}}).weights[0].preprocess.size);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_features_are_those_that_the_models_own_classifier_sees(
    name: str,
    family: Any,  # noqa: ANN401 - conftest's
    saved: Callable[[str], Path],
) -> None:
    folder = saved(name)
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


def test_pixels_are_those_of_the_models_image_processor(
    name: str,
    family: Any,  # noqa: ANN401 - conftest's
    saved: Callable[[str], Path],
    tmp_path: Path,
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
    kind = family.processor[0]
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
