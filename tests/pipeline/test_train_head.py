import json
import random

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.train_head import area_under_curve, train
from scripts.scenes import Kind, all_scenes, caption, draw, is_held_out
from stages.clip import ClipConfig, load_clip
from stages.heads import Head, HeadConfig


def weft(*arguments):
    result = CliRunner().invoke(app, ["train-head", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Files of descriptions: of hazard signs, the proxy class, and of everything else."""
    folder = tmp_path_factory.mktemp("texts")
    chance = random.Random(0)
    scenes = [scene for scene in all_scenes() if not is_held_out(scene)]
    for name, wanted in (("unwanted", False), ("wanted", True)):
        of_kind = [scene for scene in scenes if (scene.kind != Kind.HAZARD) == wanted]
        lines = [caption(scene, chance) for scene in chance.choices(of_kind, k=300)]
        (folder / name).write_text("\n".join(lines))
    return folder


def held_out(number):
    """Drawings that nobody has seen: hazards and others."""
    chance = random.Random(1)
    scenes = [scene for scene in all_scenes() if is_held_out(scene)]
    for hazard in (True, False):
        of_kind = [scene for scene in scenes if (scene.kind == Kind.HAZARD) == hazard]
        some = chance.choices(of_kind, k=number)
        yield [draw(scene, (96, 96), chance) for scene in some]


def test_a_head_trained_on_texts_tells_images_apart(texts, tmp_path):
    path = tmp_path / "head.safetensors"
    code, out, _ = weft("sample", "--unwanted", texts / "unwanted", "--wanted", texts / "wanted",
                        "-o", path, "--json")  # fmt: skip
    assert code == 0
    assert json.loads(out)["text_auc"] > 0.99
    clip = load_clip(ClipConfig())
    head = Head("hazard", HeadConfig(file=str(path)), clip)
    hazards, others = (
        np.array([head(feature) for feature in clip.images(images)]) for images in held_out(60)
    )
    assert area_under_curve(hazards, others) >= 0.97


def test_images_of_a_corpus_set_the_threshold(texts, tmp_path, sample_corpus):
    path = tmp_path / "head.safetensors"
    code, _, _ = weft("sample", "--unwanted", texts / "unwanted", "--wanted", texts / "wanted",
                      "-o", path, "--images", sample_corpus)  # fmt: skip
    assert code == 0
    clip = load_clip(ClipConfig())
    head = Head("hazard", HeadConfig(file=str(path)), clip)
    hazards, others = (
        np.array([head(feature) > 0.5 for feature in clip.images(images)])
        for images in held_out(60)
    )
    assert hazards.mean() > 0.9
    assert others.mean() < 0.1


def test_training_finds_the_direction_and_balances_the_classes():
    chance = np.random.default_rng(0)
    offset = np.array([0.5, 0, 0, 0])
    bad = chance.normal(0, 0.1, (40, 4)) + offset
    good = chance.normal(0, 0.1, (400, 4)) - offset
    mask = tuple(np.arange(len(part)) % 5 == 0 for part in (bad, good))
    head = train(bad, good, mask)
    assert head.auc == 1.0
    assert head.texts == 32 + 320
    assert abs(head.weight[0]) > 20 * np.abs(head.weight[1:]).max()
    assert head.bias == pytest.approx(0, abs=0.3 * head.weight[0])
    # Images that lie elsewhere by a constant: the mean one is judged as the mean wanted text is.
    gap = np.array([3.0, 1, 0, 0])
    moved = train(bad, good, mask, images=good + gap)
    logit = (good + gap).mean(0) @ moved.weight + moved.bias
    assert logit == pytest.approx(good[~mask[1]].mean(0) @ head.weight + head.bias, abs=1e-6)


def test_area_under_curve():
    assert area_under_curve(np.array([2.0, 3]), np.array([0.0, 1])) == 1
    assert area_under_curve(np.array([1.0, 1]), np.array([1.0])) == 0.5
    assert area_under_curve(np.array([0.0, 3]), np.array([1.0, 2])) == 0.5


def test_what_does_not_fit_is_said_in_a_line(texts, tmp_path, corpus):
    few = tmp_path / "few"
    few.write_text("one\n\n one \ntwo\n")
    good, bad = texts / "wanted", texts / "unwanted"
    out = ("-o", tmp_path / "head")
    for arguments, said in (
        (("--unwanted", few, "--wanted", good), "has 2 texts, and 10 are the least"),
        (("--unwanted", good, "--wanted", good), "stands in"),
        (("--unwanted", tmp_path / "none", "--wanted", good), "cannot be read"),
        (("--unwanted", bad, "--wanted", good, "-s", "clip=null", "-s", "heads=null",
          "-s", "place_images={method: dom}", "-s", "filter_placed=[]"), "clip is null"),
        (("--unwanted", bad, "--wanted", good, "--images", corpus), "with another CLIP model"),
    ):  # fmt: skip
        code, _, error = weft("sample", *arguments, *out)
        assert code == 2
        assert said in error.replace("\n", " ")
