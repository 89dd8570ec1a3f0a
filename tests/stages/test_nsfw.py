import warnings

import numpy as np
import pytest
from safetensors.numpy import save_file

from stages.nsfw import NsfwConfig, NsfwScorer


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
    return NsfwScorer(NsfwConfig(head=str(path)), clip)


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
    score = NsfwScorer(NsfwConfig(("bad",), ("good",), logit_scale=2), FlatClip())
    assert score(feature(*values)) == pytest.approx(probability, abs=1e-7)


def test_the_mass_of_all_unsafe_prompts_counts():
    score = NsfwScorer(NsfwConfig(("bad", "worse"), ("good",), logit_scale=1), FlatClip())
    bad, worse, good = np.exp([0.6, 0.6 * 0.6 - 0.8 * 0.8, 0.8])
    expected = (bad + worse) / (bad + worse + good)
    assert score(feature(0.6, 0.8)) == pytest.approx(expected, abs=1e-7)


def test_a_large_scale_neither_overflows_nor_leaves_0_to_1():
    score = NsfwScorer(NsfwConfig(("bad",), ("good",), logit_scale=1e6), FlatClip())
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
        ({"_1_weight": feature([1, 2]), "_1_bias": feature(0)}, "it holds 1.bias, 1.weight"),
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
    wanted = f"^nsfw: .*head.safetensors is no head from 2 features to one score: .*{message}"
    with pytest.raises(ValueError, match=wanted):
        scorer(tmp_path, **tensors)


def test_a_head_that_is_no_file_or_no_safetensors_is_named(tmp_path):
    path = tmp_path / "head.safetensors"
    with pytest.raises(FileNotFoundError, match=f"nsfw: there is no head at {path}"):
        NsfwScorer(NsfwConfig(head=str(path)), FlatClip())
    path.write_bytes(b"not tensors")
    with pytest.raises(ValueError, match=f"nsfw: {path} is no head from 2 features"):
        NsfwScorer(NsfwConfig(head=str(path)), FlatClip())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either prompts"),
        ({"head": "x", "unsafe": ("a",)}, "give either prompts"),
        ({"head": "x", "safe": ("a",)}, "give either prompts"),
        ({"unsafe": ("a",)}, "at least one unsafe and one safe"),
        ({"safe": ("a",)}, "at least one unsafe and one safe"),
    ],
)
def test_a_config_is_prompts_or_a_head(options, message):
    with pytest.raises(ValueError, match=f"nsfw: .*{message}"):
        NsfwConfig(**options)
