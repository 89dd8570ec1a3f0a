"""The embedded model behind `stages.clip`, run for real."""

import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.scenes import all_scenes, draw
from stages.clip import ClipConfig, load_clip

FOLDER = Path(__file__).parent.parent.parent / "configs" / "models" / "tiny-clip"
CONFIG = ClipConfig()


def pictures(count: int) -> list[Image.Image]:
    scenes = random.Random(7).sample(all_scenes(), count)
    return [draw(scene, (96 + i, 80), random.Random(i)) for i, scene in enumerate(scenes)]


PICTURES = pictures(33)


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Of all pictures, one pass each."""
    clip = load_clip(CONFIG)
    return np.concatenate([clip.images([picture]) for picture in PICTURES])


def test_features_are_float32_rows_of_unit_length(features):
    assert load_clip(CONFIG).dimension == 128
    assert features.shape == (33, 128)
    assert features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("count", [2, 31, 32, 33])
def test_a_feature_does_not_depend_on_the_batch(features, count):
    found = load_clip(CONFIG).images(PICTURES[:count])
    assert found.tobytes() == features[:count].tobytes()


def test_a_feature_does_not_depend_on_its_position(features):
    order = np.random.default_rng(3).permutation(33)
    found = load_clip(CONFIG).images([PICTURES[i] for i in order])
    assert found.tobytes() == features[order].tobytes()


def test_no_input_gives_no_rows():
    clip = load_clip(CONFIG)
    for found in (clip.images([]), clip.texts([])):
        assert found.shape == (0, 128)
        assert found.dtype == np.float32


def test_equal_texts_are_encoded_once_and_each_has_its_row(monkeypatch):
    clip = load_clip(CONFIG)
    tokenized = []
    tokenize = clip._tokenize
    monkeypatch.setattr(clip, "_tokenize", lambda texts: tokenized.extend(texts) or tokenize(texts))
    found = clip.texts(["a red circle", "a blue star", "a red circle", "", "a blue star"])
    assert tokenized == ["a red circle", "a blue star", ""]
    circle, star = clip.texts(["a red circle"])[0], clip.texts(["a blue star"])[0]
    assert found.shape == (5, 128)
    assert [row.tobytes() for row in found[[0, 1, 2, 4]]] == [
        row.tobytes() for row in (circle, star, circle, star)
    ]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


# In tokens with both marks: 16 and 17, 24 and 25 ... lie on both sides of a length.
OF_ALL_LENGTHS = [" ".join(["a"] * n) for n in (0, 14, 15, 22, 23, 30, 31, 46, 47, 75, 90)]


def full_context(clip, texts):
    """What open_clip's own `encode_text` says."""
    import torch

    with torch.inference_mode():
        return clip.model.encode_text(clip._tokenize(texts), normalize=True).numpy()


def test_padding_that_is_cut_changes_nothing():
    clip = load_clip(CONFIG)
    found = clip.texts(OF_ALL_LENGTHS)
    np.testing.assert_allclose(found, full_context(clip, OF_ALL_LENGTHS), atol=2e-6)


def test_a_text_is_encoded_with_texts_of_its_length(monkeypatch):
    clip = load_clip(CONFIG)
    shapes = []
    encode = clip._encode_text
    monkeypatch.setattr(clip, "_encode_text", lambda t: shapes.append(tuple(t.shape)) or encode(t))
    clip.texts(OF_ALL_LENGTHS)
    assert sorted(set(shapes)) == [(32, length) for length in (16, 24, 32, 48, 77)]
    assert len(shapes) == 5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_text_has_one_feature_whatever_stands_beside_it(precision):
    clip = load_clip(ClipConfig(precision=precision))
    together = clip.texts(OF_ALL_LENGTHS)
    order = np.random.default_rng(5).permutation(len(OF_ALL_LENGTHS))
    turned = clip.texts([OF_ALL_LENGTHS[i] for i in order])
    assert turned.tobytes() == together[order].tobytes()
    alone = np.concatenate([clip.texts([text]) for text in OF_ALL_LENGTHS])
    assert alone.tobytes() == together.tobytes()


def small_model(folder, **text):
    """A folder of a model of random weights, its text tower as told."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    config = json.loads((FOLDER / "open_clip_config.json").read_text())
    config["model_cfg"]["custom_text"] = True
    config["model_cfg"]["text_cfg"].update(text)
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    shutil.copy(FOLDER / "bpe.txt.gz", folder)
    torch.manual_seed(0)
    model = open_clip.create_model(f"local-dir:{folder}", require_pretrained=False)
    save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return load_clip(ClipConfig(f"local-dir:{folder}"))


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ({}, (16, 24, 32, 48)),
        ({"proj_bias": True}, (16, 24, 32, 48)),
        ({"no_causal_mask": True}, ()),
        ({"pool_type": "last"}, ()),
        ({"embed_cls": True}, ()),
    ],
)
def test_texts_are_cut_only_where_that_is_exact(tmp_path, text, lengths):
    clip = small_model(tmp_path / "model", **text)
    assert clip._lengths == lengths
    assert clip.dimension == 128
    found = clip.texts(OF_ALL_LENGTHS)
    np.testing.assert_allclose(found, full_context(clip, OF_ALL_LENGTHS), atol=2e-6)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_runtime_agrees_and_gives_one_feature(features, precision):
    clip = load_clip(ClipConfig(backend="onnxruntime", precision=precision))
    texts = OF_ALL_LENGTHS[::2]
    own = load_clip(CONFIG).texts(texts)
    found = clip.texts(texts)
    assert (found * own).sum(axis=1).min() > 0.999
    assert found[::-1].tobytes() == clip.texts(texts[::-1]).tobytes()
    assert found[3].tobytes() == clip.texts([texts[3]]).tobytes()
    pictures = clip.images(PICTURES)
    assert (pictures * features).sum(axis=1).min() > 0.999
    assert pictures[2].tobytes() == clip.images([PICTURES[2]]).tobytes()
    assert clip.weights_sha256() == load_clip(CONFIG).weights_sha256()


def test_without_onnx_runtime_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FileNotFoundError, match=r"needs the extra onnx: .*weft\[onnx\]"):
        load_clip(ClipConfig(backend="onnxruntime", batch_size=3))


def test_a_text_longer_than_the_context_is_cut():
    found = load_clip(CONFIG).texts(["a red circle " * 100, "a red circle " * 200])
    assert found[0].tobytes() == found[1].tobytes()


def test_bf16_is_close_to_fp32_and_still_of_unit_length(features):
    clip = load_clip(ClipConfig(precision="bf16"))
    found = clip.images(PICTURES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found * features).sum(axis=1).min() > 0.999
    texts = ["a red circle", "a photo of a hazard sign"]
    found = clip.texts(texts)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert (found * load_clip(CONFIG).texts(texts)).sum(axis=1).min() > 0.999


def test_a_config_is_loaded_once():
    assert load_clip(ClipConfig()) is load_clip(ClipConfig())


def test_a_local_folder_is_the_same_model(features, tmp_path):
    shutil.copytree(FOLDER, tmp_path / "model")
    clip = load_clip(ClipConfig(f"local-dir:{tmp_path / 'model'}"))
    assert clip.images(PICTURES[:3]).tobytes() == features[:3].tobytes()
    embedded = load_clip(CONFIG)
    assert clip.texts(["a red circle"]).tobytes() == embedded.texts(["a red circle"]).tobytes()
    assert clip.weights_sha256() == embedded.weights_sha256()


def test_the_hash_of_the_weights_changes_with_a_weight(tmp_path):
    from safetensors.numpy import load_file, save_file

    embedded = load_clip(CONFIG).weights_sha256()
    assert embedded == load_clip(CONFIG).weights_sha256()
    assert len(embedded) == 64
    for name in ("open_clip_config.json", "bpe.txt.gz"):
        shutil.copy(FOLDER / name, tmp_path / name)
    weights = load_file(FOLDER / "open_clip_model.safetensors")
    weights["text_projection"] = weights["text_projection"] + np.float16(1)
    save_file(weights, tmp_path / "open_clip_model.safetensors")
    assert load_clip(ClipConfig(f"local-dir:{tmp_path}")).weights_sha256() != embedded


def test_a_checkpoint_is_read_from_a_file(tmp_path):
    import open_clip

    config = json.loads((FOLDER / "open_clip_config.json").read_text())["model_cfg"]
    (tmp_path / "weft-test.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    checkpoint = str(FOLDER / "open_clip_model.safetensors")
    clip = load_clip(ClipConfig("weft-test", checkpoint))
    assert clip.weights_sha256() == load_clip(CONFIG).weights_sha256()
    assert clip.images(PICTURES[:2]).shape == (2, 128)
    with pytest.raises(FileNotFoundError, match=r"'/no/such\.safetensors' is not a known tag"):
        load_clip(ClipConfig("weft-test", "/no/such.safetensors"))


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}/no holds no open_clip_config.json"):
        load_clip(ClipConfig(f"local-dir:{tmp_path}/no"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "ViT-L-14"}, "model 'ViT-L-14' needs pretrained: a tag of open_clip or a file"),
        ({"pretrained": "openai"}, "embedded brings its weights, so pretrained must be empty"),
        ({"model": "local-dir:/m", "pretrained": "x"}, "local-dir:/m brings its weights"),
        ({"precision": "int8"}, "backend torch has no precision int8"),
        (
            {"precision": "bf16", "backend": "onnxruntime"},
            "backend onnxruntime has no precision bf16",
        ),
        ({"device": "cuda", "backend": "onnxruntime"}, "runs on the CPU, not on cuda"),
        ({"batch_size": 0}, "batch_size and threads must be at least 1"),
        ({"threads": 0}, "batch_size and threads must be at least 1"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^clip: .*{message}"):
        ClipConfig(**options)
