import importlib.metadata
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import zoo_torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models.regnet import BlockParams
from zoo_torchvision import build, survey

import zoo

FileOf = Callable[[Mapping[str, Tensor]], Path]
#: Any: a test may look into a component without asking each time whether the part is there
COMPONENTS: dict[str, Any] = {one.name: one for one in zoo_torchvision.zoo_backbones()}
NAMES = models.list_models(module=models)
#: one of each way to take a classifier off
FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11_bn",
    "vit_b_32",
]


def meta(name: str, **options: int) -> Any:  # noqa: ANN401 - each model has parts of its own
    with torch.device("meta"):
        return getattr(build, name)(None, **options).eval()


def published(name: str) -> dict[str, Tensor]:
    """The state dict that torchvision publishes, without its memory."""
    with torch.device("meta"), mock.patch.object(BlockParams, "from_init_params", build.on_cpu):
        whole = models.get_model(name, weights=None, **build.arguments(name, None))
    return whole.state_dict()


@pytest.fixture
def file_of(monkeypatch: pytest.MonkeyPatch) -> FileOf:
    """Has the engine read a given state dict instead of a file; gives the path of that file."""

    def given(state: Mapping[str, Tensor]) -> Path:
        path = Path("published.pth")
        monkeypatch.setattr("zoo.training.weights.read_state_dict", {path: state}.__getitem__)
        return path

    return given


def loaded(name: str, path: Path, **options: int) -> Any:  # noqa: ANN401 - likewise
    with torch.device("meta"):
        return getattr(build, name)(path, **options)


def test_the_catalog_names_every_classification_builder() -> None:
    assert list(COMPONENTS) == NAMES


def test_the_shipped_catalog_is_that_of_the_live_library() -> None:
    shipped = json.loads(survey.CATALOG.read_text("utf-8"))
    live = json.loads(json.dumps(survey.names_and_tags()))

    bare = [{key: record[key] for key in ("name", "weights")} for record in shipped["models"]]
    assert bare == live


@pytest.mark.parametrize("name", NAMES)
def test_tags_and_what_they_expect_are_the_librarys(name: str) -> None:
    tags: Any = models.get_model_weights(name)
    weights = {each.tag: each for each in COMPONENTS[name].weights}

    assert list(weights) == [tag.name for tag in tags]
    assert [tag for tag, each in weights.items() if each.default] == [tags.DEFAULT.name]
    for tag in tags:
        transforms, each = tag.transforms(), weights[tag.name]
        assert each.preprocess.size == (transforms.crop_size[0],) * 2
        assert each.preprocess.resize == (transforms.resize_size[0],) * 2
        assert each.preprocess.interpolation == transforms.interpolation.value
        assert list(each.preprocess.mean) == transforms.mean
        assert list(each.preprocess.std) == transforms.std
        assert each.source == tag.url
        assert len(each.sha256) >= 8
        assert f"-{each.sha256}." in tag.url


def test_top1_and_licence_are_those_that_the_library_states() -> None:
    resnet = COMPONENTS["resnet18"].default_weights()
    assert (resnet.tag, resnet.top1, resnet.licence) == ("IMAGENET1K_V1", 69.758, "BSD-3-Clause")
    assert COMPONENTS["vit_h_14"].default_weights().licence == "CC-BY-NC-4.0"
    assert COMPONENTS["vgg16"].tagged("IMAGENET1K_FEATURES").top1 is None


@pytest.mark.parametrize("name", FAMILIES)
def test_the_facts_are_those_of_the_model(name: str) -> None:
    facts, model = COMPONENTS[name].facts, meta(name)

    assert sum(parameter.numel() for parameter in model.parameters()) == facts.params
    features = model(torch.zeros(2, 3, *facts.input_size, device="meta"))
    assert features.shape == (2, facts.features)


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "vgg11_bn"])
def test_published_weights_fit_but_for_the_classifier(name: str, file_of: FileOf) -> None:
    state = published(name)

    report = loaded(name, file_of(state)).load_report

    assert report.matched == report.total
    assert {key.split(".")[0] for key in report.leftover} <= {"fc", "classifier", "heads", "head"}
    assert len(report.leftover) + report.total == len(state)


@pytest.mark.parametrize("name", ["resnet18", "mnasnet0_5", "googlenet", "mobilenet_v3_small"])
def test_features_are_what_the_classifier_is_fed(name: str, tmp_path: Path) -> None:
    whole = models.get_model(name, weights=None, **build.arguments(name, None)).eval()
    save_file(whole.state_dict(), tmp_path / "published.safetensors")
    bare = getattr(build, name)(tmp_path / "published.safetensors").eval()
    last = [module for module in whole.modules() if isinstance(module, nn.Linear)][-1]
    seen: list[Tensor] = []

    def look(_: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.append(inputs[0])

    last.register_forward_pre_hook(look)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        whole(images)
        features = bare(images)

    torch.testing.assert_close(features, seen[0])


def test_old_names_of_densenet_layers_are_understood(file_of: FileOf) -> None:
    state = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))", r"\1.", key): each
        for key, each in published("densenet121").items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in state

    report = loaded("densenet121", file_of(state)).load_report

    assert report.matched == report.total


def test_auxiliary_classifiers_in_a_file_are_left_over(file_of: FileOf) -> None:
    state = published("googlenet") | {"aux1.fc1.weight": torch.zeros(1)}

    assert "aux1.fc1.weight" in loaded("googlenet", file_of(state)).load_report.leftover


def test_a_file_of_convolutions_only_is_refused(file_of: FileOf) -> None:
    nan, one = torch.tensor(float("nan")), torch.tensor(1.0)
    state = {
        key: (nan if key.startswith("classifier") else one).expand(each.shape)
        for key, each in published("vgg11").items()
    }

    with pytest.raises(zoo.ZooError, match=r"missing in the file: classifier\.0\.weight"):
        loaded("vgg11", file_of(state))


def test_a_missing_layer_is_named(file_of: FileOf) -> None:
    state = published("squeezenet1_1")
    del state["features.0.weight"]

    with pytest.raises(zoo.ZooError, match=r"features\.0\.weight"):
        loaded("squeezenet1_1", file_of(state))


def test_position_embeddings_are_resampled_to_another_image_size(file_of: FileOf) -> None:
    path = file_of(published("vit_b_32"))

    model = loaded("vit_b_32", path, img_size=96).eval()

    assert model.encoder.pos_embedding.shape == (1, 1 + 3 * 3, 768)
    assert model(torch.zeros(1, 3, 96, 96, device="meta")).shape == (1, 768)


@pytest.mark.parametrize(("name", "side"), [("vit_b_16", 384), ("maxvit_t", 448)])
def test_models_with_a_fixed_input_take_img_size(name: str, side: int) -> None:
    assert "img_size" in COMPONENTS[name].options
    features = meta(name, img_size=side)(torch.zeros(2, 3, side, side, device="meta"))
    assert features.shape == (2, COMPONENTS[name].facts.features)


def test_no_model_is_hidden_by_a_name_of_the_module() -> None:
    assert vars(build).keys() & COMPONENTS.keys() == set()


def test_an_unknown_name_is_no_builder() -> None:
    with pytest.raises(AttributeError, match="torchvision has no classification model 'resnet19'"):
        build.resnet19  # noqa: B018 - asking is the test


def test_another_release_keeps_known_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = [{"name": "resnet18"}, {"name": "resnet20"}]
    monkeypatch.setattr(zoo_torchvision, "version", {"torchvision": "99.0+cpu"}.get)
    monkeypatch.setattr(zoo_torchvision, "live", lambda: live)

    known, unknown = zoo_torchvision.zoo_backbones()

    assert known.facts.features == 512
    assert known.weights == ()
    assert (unknown.name, unknown.facts.features) == ("resnet20", None)


def test_a_local_build_of_the_release_uses_the_shipped_catalog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed = importlib.metadata.version("torchvision")
    release = {"torchvision": installed.partition("+")[0] + "+cu130"}
    monkeypatch.setattr(zoo_torchvision, "version", release.get)
    monkeypatch.setattr(zoo_torchvision, "live", lambda: pytest.fail("asked the library"))

    assert len(list(zoo_torchvision.zoo_backbones())) == len(NAMES)


def test_listing_imports_neither_torch_nor_torchvision() -> None:
    script = (
        "import sys, zoo_torchvision as plugin; list(plugin.zoo_backbones());"
        "sys.exit(bool({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    here = Path(zoo_torchvision.__file__).parent.parent
    command = [sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(command, check=False, cwd=here).returncode == 0
