"""The embedded model behind `stages.clip`, run for real."""

import json
import random
import shutil
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
        ({"batch_size": 0}, "batch_size and threads must be at least 1"),
        ({"threads": 0}, "batch_size and threads must be at least 1"),
    ],
)
def test_a_config_that_cannot_be_run_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^clip: .*{message}"):
        ClipConfig(**options)
