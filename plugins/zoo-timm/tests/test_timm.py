import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import zoo_timm
from safetensors.torch import save_file
from timm.data import resolve_data_config
from timm.models import _registry
from torch import nn
from zoo_timm import build, survey

import zoo

#: Any: a test may look into a component without asking each time whether the part is there
COMPONENTS: dict[str, Any] = {one.name: one for one in zoo_timm.zoo_backbones()}
#: (name, configuration) of every tag that has weights
TAGS: list[tuple[str, Any]] = [
    (name, cfg)
    for name in timm.list_models()
    for cfg in map(timm.get_pretrained_cfg, _registry._model_with_tags[name])  # noqa: SLF001 - timm tells tags nowhere else
    if cfg is not None and cfg.has_weights
]
#: small models of unlike families: the facts of all are checked by benchmarks/assemble_all.py
SAMPLE = [
    "convnext_atto",
    "efficientformerv2_s0",
    "gemma4_vit_167m_enc",
    "levit_128s",
    "mobilenetv3_small_050",
    "mobilenetv5_300m_enc",
    "qwen3_vit_88m_enc",
    "resnet18",
    "swin_tiny_patch4_window7_224",
    "test_vit",
    "vit_base_patch16_224",
    "xcit_nano_12_p8_224",
]


def saved(model: nn.Module, folder: Path) -> Path:
    path = folder / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return path


def built(name: str, weights: Path | None = None, **options: float | None) -> Any:  # noqa: ANN401 - each model has parts of its own
    return getattr(build, name)(weights, **options)


def cfg_of(name: str) -> Any:  # noqa: ANN401 - never None for a name of timm's
    return timm.get_pretrained_cfg(name)


def published(name: str) -> Any:  # noqa: ANN401 - likewise
    return timm.create_model(name).eval()


def test_the_catalog_names_every_model() -> None:
    assert list(COMPONENTS) == timm.list_models()


def test_the_shipped_catalog_is_that_of_the_live_library() -> None:
    shipped = json.loads(survey.CATALOG.read_text("utf-8"))
    live = json.loads(json.dumps(survey.names_and_tags()))

    bare = [
        {key: value for key, value in record.items() if key in ("name", "weights")}
        for record in shipped["models"]
    ]
    assert bare == live


def test_every_tag_with_weights_is_there_and_fits_the_grammar() -> None:
    listed = {(name, each.tag) for name, one in COMPONENTS.items() for each in one.weights}

    assert listed == {(name, cfg.tag) for name, cfg in TAGS}
    assert all(re.fullmatch("[A-Za-z0-9_]+", tag) for _, tag in listed)


def test_the_default_tag_is_timms_where_that_has_weights() -> None:
    for name, one in COMPONENTS.items():
        defaults = [each.tag for each in one.weights if each.default]
        theirs = cfg_of(name)
        assert len(defaults) == bool(one.weights)
        if theirs.has_weights:
            assert defaults == [theirs.tag]


def test_preprocessing_is_what_timm_resolves_for_each_tag() -> None:
    for name, cfg in TAGS:
        ours = COMPONENTS[name].tagged(cfg.tag).preprocess
        theirs = resolve_data_config(pretrained_cfg=cfg.to_dict())
        assert ours.size == theirs["input_size"][1:]
        assert ours.resize == tuple(math.floor(side / theirs["crop_pct"]) for side in ours.size)
        assert ours.crop == theirs["crop_mode"]
        assert ours.interpolation == theirs["interpolation"]
        assert (ours.mean, ours.std) == (tuple(theirs["mean"]), tuple(theirs["std"]))


def test_every_tag_says_where_its_weights_are() -> None:
    for name, cfg in TAGS:
        source = COMPONENTS[name].tagged(cfg.tag).source
        assert source.removeprefix("hf-hub:") in (cfg.hf_hub_id, cfg.url)


def test_every_model_has_its_facts() -> None:
    facts = {name: one.facts for name, one in COMPONENTS.items()}

    assert [name for name, each in facts.items() if not each.params or not each.features] == []
    assert {each.layout for each in facts.values()} == {"conv", "token"}
    assert all(facts[name].input_size == cfg_of(name).input_size[1:] for name in facts)


@pytest.mark.parametrize("name", SAMPLE)
def test_the_facts_are_those_of_the_model(name: str) -> None:
    facts = COMPONENTS[name].facts
    with torch.device("meta"):
        model = built(name).eval()

    assert sum(parameter.numel() for parameter in model.parameters()) == facts.params
    features = model(torch.zeros(2, 3, *facts.input_size, device="meta"))
    assert features.shape == (2, facts.features)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"])
def test_published_weights_fit_but_for_the_classifier(name: str, tmp_path: Path) -> None:
    whole = published(name)

    model = built(name, saved(whole, tmp_path))

    theirs = whole.state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in model.state_dict().items())
    assert model.load_report.matched == model.load_report.total
    assert set(model.load_report.leftover) == theirs.keys() - model.state_dict().keys()


def test_features_are_what_the_published_model_feeds_its_classifier(tmp_path: Path) -> None:
    whole = published("test_resnet")
    model = built("test_resnet", saved(whole, tmp_path)).eval()
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))

    with torch.inference_mode():
        theirs = whole.forward_head(whole.forward_features(images), pre_logits=True)
        torch.testing.assert_close(model(images), theirs)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "test_vit", "test_convnext2"])
def test_a_backbone_that_was_saved_loads_again(name: str, tmp_path: Path) -> None:
    bare = built(name)

    model = built(name, saved(bare, tmp_path))

    assert (
        str(model.load_report) == f"matched {len(bare.state_dict())} of {model.load_report.total}"
    )
    assert all(torch.equal(value, model.state_dict()[k]) for k, value in bare.state_dict().items())


def test_a_saved_swin_is_not_taken_for_an_old_file_at_another_size(
    tmp_path: Path,
) -> None:
    bare = built("swin_tiny_patch4_window7_224")
    path = saved(bare, tmp_path)

    model = built("swin_tiny_patch4_window7_224", path, img_size=256)

    assert model.load_report.leftover == ()
    downsample = "layers.1.downsample.reduction.weight"
    assert torch.equal(model.state_dict()[downsample], bare.state_dict()[downsample])


def test_position_embeddings_are_resampled_to_another_image_size(tmp_path: Path) -> None:
    whole = published("test_vit")

    model = built("test_vit", saved(whole, tmp_path), img_size=96).eval()

    assert model.pos_embed.shape[1] < whole.pos_embed.shape[1]
    with torch.inference_mode():
        assert model(torch.zeros(1, 3, 96, 96)).shape == (1, 64)


def test_at_its_own_size_a_vision_transformer_keeps_its_position_embeddings(tmp_path: Path) -> None:
    whole = published("test_vit")
    side = whole.pretrained_cfg["input_size"][1]

    model = built("test_vit", saved(whole, tmp_path), img_size=side)

    assert torch.equal(model.pos_embed, whole.pos_embed)


def test_a_missing_layer_is_named(tmp_path: Path) -> None:
    whole = published("test_resnet")
    del whole.layer1[0].conv1

    with pytest.raises(zoo.ZooError, match=r"layer1\.0\.conv1\.weight"):
        built("test_resnet", saved(whole, tmp_path))


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "test_vit", "crossvit_tiny_240"])
def test_a_file_of_something_else_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(zoo.ZooError, match="matched 0 of"):
        built(name, saved(nn.Linear(2, 2), tmp_path))


def test_no_model_is_hidden_by_a_name_of_the_module() -> None:
    assert vars(build).keys() & COMPONENTS.keys() == set()


def test_files_without_the_last_norm_get_a_fresh_one(tmp_path: Path) -> None:
    whole = built("convnextv2_atto")
    whole.head.norm = nn.Identity()

    model = built("convnextv2_atto", saved(whole, tmp_path))

    assert torch.equal(model.head.norm.weight, torch.ones(320))


def test_options_reach_the_model() -> None:
    with torch.device("meta"):
        model = built("test_vit", drop_path_rate=0.5, img_size=None)

    assert model.blocks[-1].drop_path1.drop_prob == 0.5


def test_options_are_offered_where_the_model_takes_them() -> None:
    assert set(COMPONENTS["vit_base_patch16_224"].options) == {"drop_path_rate", "img_size"}
    assert set(COMPONENTS["vgg16"].options) == set()


def test_an_unknown_name_is_no_builder() -> None:
    with pytest.raises(AttributeError, match="has no model 'resnet19'"):
        build.resnet19  # noqa: B018 - asking is the test


def test_another_release_keeps_known_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    live = [{"name": "resnet18"}, {"name": "resnet20"}]
    monkeypatch.setattr(zoo_timm, "version", {"timm": "99.0"}.get)
    monkeypatch.setattr(zoo_timm, "live", lambda: live)

    known, unknown = zoo_timm.zoo_backbones()

    assert (known.facts.features, known.weights) == (512, ())
    assert (unknown.name, unknown.facts.features) == ("resnet20", None)


def test_names_and_tags_are_told_by_a_process_of_its_own() -> None:
    assert [record["name"] for record in zoo_timm.live()] == timm.list_models()


def test_listing_imports_neither_torch_nor_timm() -> None:
    script = (
        "import sys, zoo_timm as plugin; list(plugin.zoo_backbones());"
        "sys.exit(bool({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    assert subprocess.run(command, check=False).returncode == 0
