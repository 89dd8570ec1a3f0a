import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from stages.heads import Head, HeadConfig, Heads, Policy


class FlatClip:
    """A model whose features have two values: bad things point right, good things up."""

    dimension = 2

    def texts(self, texts):
        features = {"bad": (1.0, 0.0), "worse": (0.6, -0.8), "good": (0.0, 1.0)}
        return np.array([features[text] for text in texts], np.float32)


def feature(*values):
    return np.array(values, np.float32)


def scorer(tmp_path, dimension=2, **tensors):
    path = tmp_path / "head.safetensors"
    save_file({name.lstrip("_").replace("_", "."): t for name, t in tensors.items()}, path)
    clip = FlatClip()
    clip.dimension = dimension
    return Head("nsfw", HeadConfig(file=str(path)), clip)


def prompted(unwanted, wanted, scale):
    return Head("nsfw", HeadConfig(unwanted, wanted, logit_scale=scale), FlatClip())


@pytest.mark.parametrize(
    ("values", "probability"),
    [
        ((0.6, 0.8), 1 / (1 + np.exp(2 * (0.8 - 0.6)))),
        ((1.0, 0.0), 1 / (1 + np.exp(-2))),
        ((0.0, 1.0), 1 / (1 + np.exp(2))),
        ((np.sqrt(0.5), np.sqrt(0.5)), 0.5),
    ],
)
def test_two_prompts_by_hand(values, probability):
    score = prompted(("bad",), ("good",), 2)
    assert score(feature(*values)) == pytest.approx(probability, abs=1e-7)


def test_the_mass_of_all_unwanted_prompts_counts():
    score = prompted(("bad", "worse"), ("good",), 1)
    bad, worse, good = np.exp([0.6, 0.6 * 0.6 - 0.8 * 0.8, 0.8])
    expected = (bad + worse) / (bad + worse + good)
    assert score(feature(0.6, 0.8)) == pytest.approx(expected, abs=1e-7)


def test_a_large_scale_neither_overflows_nor_leaves_0_to_1():
    score = prompted(("bad",), ("good",), 1e6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score(feature(1, 0)) == 1.0
        assert score(feature(0, 1)) == 0.0


def test_a_head_of_one_layer(tmp_path):
    score = scorer(tmp_path, _0_weight=feature([2, -1]), _0_bias=feature(0.5))
    # 2 x 0.6 - 0.8 + 0.5 = 0.9
    assert score(feature(0.6, 0.8)) == pytest.approx(1 / (1 + np.exp(-0.9)), abs=1e-6)


def test_a_head_of_two_layers_has_a_relu_between(tmp_path):
    score = scorer(
        tmp_path,
        _0_weight=feature([1, 0], [-1, 0], [0, 5]),
        _0_bias=feature(0, 0, -3),
        _1_weight=feature([1, 100, 2]),
        _1_bias=feature(-1),
    )
    # Hidden: relu(0.6, -0.6, 4 - 3) = (0.6, 0, 1); out: 0.6 + 2 - 1 = 1.6
    assert score(feature(0.6, 0.8)) == pytest.approx(1 / (1 + np.exp(-1.6)), abs=1e-6)


def test_an_extreme_head_neither_overflows_nor_leaves_0_to_1(tmp_path):
    score = scorer(tmp_path, _0_weight=feature([1e6, 0]), _0_bias=feature(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert score(feature(1, 0)) == 1.0
        assert score(feature(-1, 0)) == 0.0


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"_0_weight": feature([1, 2, 3]), "_0_bias": feature(0)}, r"layer 0 is \(1, 3\) and"),
        ({"_0_weight": feature([1, 2], [3, 4]), "_0_bias": feature(0, 0)}, r"layer 0 is \(2, 2\)"),
        ({"_0_weight": feature([1, 2]), "_0_bias": feature(0, 0)}, r"layer 0 is .* and \(2,\)"),
        ({"_0_weight": feature(1, 2), "_0_bias": feature(0)}, r"layer 0 is \(2,\)"),
        ({"_0_weight": feature([1, 2])}, "it holds 0.weight"),
        ({"_0_weight": feature([1, 2]), "_0_scale": feature(0)}, "it holds 0.scale, 0.weight"),
        (
            {
                "_0_weight": feature([1, 2], [3, 4]),
                "_0_bias": feature(0, 0),
                "_1_weight": feature([1, 2, 3]),
                "_1_bias": feature(0),
            },
            r"layer 1 is \(1, 3\) and \(1,\) for 2 inputs",
        ),
    ],
)
def test_a_head_that_does_not_fit_is_refused(tmp_path, tensors, message):
    wanted = f"^head nsfw: .*head.safetensors is no head from 2 features to one score: .*{message}"
    with pytest.raises(ValueError, match=wanted):
        scorer(tmp_path, **tensors)


def test_a_file_that_went_or_holds_no_tensors_is_named(tmp_path):
    path = tmp_path / "head.safetensors"
    path.write_bytes(b"not tensors")
    config = HeadConfig(file=str(path))
    with pytest.raises(ValueError, match=f"head nsfw: {path} is no head from 2 features"):
        Head("nsfw", config, FlatClip())
    path.unlink()
    with pytest.raises(FileNotFoundError, match=f"head nsfw: there is no file {path}"):
        Head("nsfw", config, FlatClip())


def test_layers_are_found_by_number_in_a_torch_state(tmp_path):
    # The layout of LAION's h14_nsfw_model.py: ReLU and Dropout take numbers, too.
    path = tmp_path / "head.pth"
    layers = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(3, 1)
    )
    torch.save({f"layers.{name}": value for name, value in layers.state_dict().items()}, path)
    score = Head("nsfw", HeadConfig(file=str(path)), FlatClip())
    with torch.inference_mode():
        expected = torch.sigmoid(layers.eval()(torch.tensor([[0.6, 0.8]]))).item()
    assert score(feature(0.6, 0.8)) == pytest.approx(expected, abs=1e-6)


def test_a_pickle_with_more_than_weights_is_not_run(tmp_path):
    path = tmp_path / "head.pt"
    torch.save({"0.weight": threading.Thread}, path)
    with pytest.raises(ValueError, match="it is not weights only"):
        Head("nsfw", HeadConfig(file=str(path)), FlatClip())


def test_features_are_standardised_first(tmp_path):
    score = scorer(
        tmp_path,
        mean=feature(0.1, 0.0),
        variance=feature(0.25, 0.0),
        _0_weight=feature([2, 0]),
        _0_bias=feature(0),
    )
    # 2 x (0.6 - 0.1) / 0.5 = 2; the second value has no variance and no weight
    assert score(feature(0.6, 0.8)) == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either prompts"),
        ({"file": __file__, "unwanted": ("a",)}, "give either prompts"),
        ({"file": __file__, "wanted": ("a",)}, "give either prompts"),
        ({"unwanted": ("a",)}, "at least one unwanted and one wanted"),
        ({"wanted": ("a",)}, "at least one unwanted and one wanted"),
        ({"file": "/nonexistent/head"}, "there is no file /nonexistent/head"),
        ({"file": __file__, "max_score": 1.5}, "max_score is 1.5"),
        ({"file": __file__, "timeout": 0}, "timeout is 0"),
    ],
)
def test_a_config_is_checked(options, message):
    with pytest.raises(ValueError, match=message):
        HeadConfig(**options)


def heads(**policies):
    """Heads that score how bad a feature is, each with its policy and threshold."""
    return Heads(
        {
            name: HeadConfig(("bad",), ("good",), 1.0, max_score=limit, policy=Policy(policy))
            for name, (policy, limit) in policies.items()
        },
        FlatClip(),
    )


def test_each_head_has_its_threshold_and_policy():
    of = heads(b_flags=("flag", 0.5), a_flags=("flag", 0.5), drops=("drop_image", 0.6),
               dooms=("drop_document", 0.7))  # fmt: skip
    good, middling, bad = of.scores(np.array([(0, 1), (0.8, 0.6), (1, 0)], np.float32))
    assert bad["drops"] == pytest.approx(1 / (1 + np.exp(-1)))
    assert (of.flags(good), of.objection(good)) == ((), None)
    assert (of.flags(middling), of.objection(middling)) == (("a_flags", "b_flags"), None)
    assert of.objection(bad) == "dooms", "the first by name"


def test_a_score_at_the_threshold_is_kept():
    of = heads(drops=("drop_image", 0.5))
    [scores] = of.scores(np.array([(np.sqrt(0.5), np.sqrt(0.5))], np.float32))
    assert scores == {"drops": 0.5}
    assert of.objection(scores) is None


def test_without_heads_there_are_no_scores():
    assert heads().scores(np.zeros((2, 2), np.float32)) == [{}, {}]


def test_what_is_no_score_is_an_error(tmp_path):
    path = tmp_path / "head.safetensors"
    save_file({"0.weight": feature([np.nan, 0]), "0.bias": feature(0)}, path)
    of = Heads({"broken": HeadConfig(file=str(path))}, FlatClip())
    with pytest.raises(ValueError, match="head broken gave nan, no score"):
        of.scores(np.ones((1, 2), np.float32))


def test_a_head_that_hangs_is_given_up_and_the_next_batch_is_scored():
    of = Heads({"slow": HeadConfig(("bad",), ("good",), timeout=0.2)}, FlatClip())
    released = threading.Event()
    head = of._heads["slow"]
    of._heads["slow"] = lambda feature: released.wait() and 0.5
    with pytest.raises(TimeoutError, match=r"the heads gave no scores in 0\.2 s"):
        of.scores(np.ones((1, 2), np.float32))
    of._heads["slow"] = head
    assert list(of.scores(np.ones((1, 2), np.float32))[0]) == ["slow"]
    released.set()


def test_a_head_that_hangs_does_not_keep_the_process_alive():
    code = """
import threading
import numpy as np
from stages.heads import Heads

heads = Heads({}, None)
heads._heads, heads._limit = {"slow": lambda feature: threading.Event().wait()}, 0.1
try:
    heads.scores(np.ones((1, 2), np.float32))
except TimeoutError:
    print("given up")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "given up\n"), done.stderr
