import hashlib
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zoo_efficientnet_lite
from safetensors.torch import save_file
from torch import nn
from zoo_efficientnet_lite.build import lite0, renamed, to_timm

import zoo

(COMPONENT,) = zoo_efficientnet_lite.zoo_backbones()
(WEIGHTS,) = COMPONENT.weights


def published() -> Path:
    module, _, path = WEIGHTS.source.removeprefix("package:").partition("/")
    return Path(str(files(module).joinpath(path)))


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401 - it has a load report beside its own parts
    return lite0(published()).eval()


def test_the_file_is_the_one_whose_hash_is_pinned() -> None:
    assert hashlib.sha256(published().read_bytes()).hexdigest() == WEIGHTS.sha256


def test_every_tensor_is_the_files_but_for_the_classifier(model: Any) -> None:  # noqa: ANN401 - likewise
    report = model.load_report

    assert report.matched == report.total == 294
    assert set(report.leftover) == {"classifier.weight", "classifier.bias"}


def test_the_facts_are_those_of_the_model(model: nn.Module) -> None:
    assert sum(p.numel() for p in model.parameters()) == COMPONENT.facts.params
    features = model(torch.zeros(1, 3, *WEIGHTS.preprocess.size))
    assert features.shape == (1, COMPONENT.facts.features)


def test_a_fixed_picture_gives_the_known_features_and_class(model: nn.Module) -> None:
    rows, columns = np.mgrid[0:224, 0:224] / 223
    picture = torch.tensor(np.stack([rows, columns, rows * columns])[None] * 2 - 1).float()
    classifier = to_timm(torch.load(published(), weights_only=True))

    with torch.inference_mode():
        features = model(picture)[0]
    logits = classifier["classifier.weight"] @ features + classifier["classifier.bias"]

    # Computed once with the reference conversion of the same file to timm's keys.
    values, classes = logits.topk(3)
    assert classes.tolist() == [818, 644, 604]
    assert values.tolist() == pytest.approx([4.5624, 4.0783, 4.0528], abs=1e-3)
    assert features.norm().item() == pytest.approx(13.1666, abs=1e-3)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_bn0.running_mean", "bn1.running_mean"),
        ("_blocks.0._bn1.bias", "blocks.0.0.bn1.bias"),
        ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
        ("_blocks.2._bn0.bias", "blocks.1.1.bn1.bias"),
        ("_blocks.15._project_conv.weight", "blocks.6.0.conv_pwl.weight"),
        ("_bn1.weight", "bn2.weight"),
        ("_fc.bias", "classifier.bias"),
        ("blocks.6.0.bn3.weight", "blocks.6.0.bn3.weight"),
    ],
)
def test_published_keys_become_timms(key: str, expected: str) -> None:
    assert renamed(key) == expected


def test_a_backbone_that_was_saved_loads_again(model: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "bare.safetensors"
    save_file(model.state_dict(), path)

    again = lite0(path).state_dict()

    assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())


def test_a_file_that_lacks_a_layer_is_refused(model: nn.Module, tmp_path: Path) -> None:
    state = model.state_dict()
    del state["conv_head.weight"]
    save_file(state, tmp_path / "lacking.safetensors")

    with pytest.raises(zoo.ZooError, match=r"conv_head\.weight"):
        lite0(tmp_path / "lacking.safetensors")


def test_it_is_built_on_the_meta_device_without_memory() -> None:
    with torch.device("meta"):
        model = lite0(None)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_listing_imports_neither_torch_nor_timm() -> None:
    script = (
        "import sys, zoo_efficientnet_lite as plugin; list(plugin.zoo_backbones());"
        "sys.exit(bool({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
