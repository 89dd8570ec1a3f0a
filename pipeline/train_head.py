"""Trains a head from texts alone, for features that text and images share.

A linear classifier learns what tells descriptions of the unwanted from other descriptions. In
CLIP's space the same direction tells the images apart, so that nobody has to collect or look at
unwanted pictures. Source: "Textual Training for the Hassle-Free Removal of Unwanted Visual Data"
(arXiv 2410.23840), whose trainable vectors are a linear head here. Texts and images lie apart by a
nearly constant vector (the modality gap, arXiv 2203.02053): a linear head ranks images all the
same, but its threshold moves. Given images of a corpus, it is moved back by their mean.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

from pipeline.config import load_config
from pipeline.corpus import Corpus
from pipeline.errors import UserError
from pipeline.terminal import clean

FEWEST = 10
HELD_OUT = 5  # every fifth text, by hash, is held out


@dataclass(frozen=True)
class TrainedHead:
    """Attributes:
    weight: [d], of unit-length features.
    bias: of the logit.
    auc: area under the ROC curve on texts that were held out.
    texts: how many it was trained on.
    """

    weight: np.ndarray
    bias: float
    auc: float
    texts: int


def read_texts(path: str) -> list[str]:
    """The distinct lines of a file, in order.

    Raises:
      UserError: it cannot be read or holds too few.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    texts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if len(texts) < FEWEST:
        raise UserError(f"{path}: has {len(texts)} texts, and {FEWEST} are the least to learn from")
    return texts


def train(
    unwanted: np.ndarray,
    wanted: np.ndarray,
    held_out: tuple[np.ndarray, np.ndarray],
    images: np.ndarray | None = None,
    penalty: float = 1e-3,
) -> TrainedHead:
    """Fits a logistic regression, both classes weighing the same.

    Args:
      unwanted, wanted: features of texts, [n, d] each, unit length.
      held_out: masks of both, True for what is not trained on.
      images: features of images, [m, d], nearly all of them wanted: the bias is moved so that
        their mean gets the logit of the mean wanted text.
      penalty: on the squared length of the weight.
    """
    (bad_out, good_out), d = held_out, unwanted.shape[1]
    bad, good = (x.astype(np.float64) for x in (unwanted[~bad_out], wanted[~good_out]))
    centre = (bad.mean(0) + good.mean(0)) / 2
    x = np.concatenate([bad, good]) - centre
    y = np.concatenate([np.ones(len(bad)), -np.ones(len(good))])
    share = np.concatenate([np.full(len(bad), 0.5 / len(bad)), np.full(len(good), 0.5 / len(good))])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = parameters[:d], parameters[d]
        margin = y * (x @ w + b)
        slope = -share * y * expit(-margin)
        gradient = np.append(x.T @ slope + 2 * penalty * w, slope.sum())
        return float(share @ np.logaddexp(0, -margin) + penalty * (w @ w)), gradient

    found = minimize(loss, np.zeros(d + 1), jac=True, method="L-BFGS-B").x
    weight, bias = found[:d], float(found[d] - found[:d] @ centre)
    auc = area_under_curve(unwanted[bad_out] @ weight, wanted[good_out] @ weight)
    if images is not None and len(images):
        bias += float(weight @ (good.mean(0) - images.astype(np.float64).mean(0)))
    return TrainedHead(weight, bias, auc, len(x))


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """Probability that a positive scores above a negative, ties counting half."""
    ranks = rankdata(np.concatenate([positive, negative]))
    n, m = len(positive), len(negative)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def train_head(
    config: str,
    unwanted_file: str,
    wanted_file: str,
    output: str,
    corpus: Corpus | None = None,
    sets: Sequence[str] = (),
) -> TrainedHead:
    """Trains a head for the CLIP model of a config and writes it as safetensors.

    Args:
      unwanted_file, wanted_file: a description a line.
      corpus: its image features set the bias; it must be made with the same model.

    Raises:
      UserError: an input is missing or does not fit.
    """
    clip_config = load_config(config, sets).clip
    if clip_config is None:
        raise UserError(f"{config}: clip is null; a head needs its model")
    texts = [read_texts(unwanted_file), read_texts(wanted_file)]
    if both := set(texts[0]) & set(texts[1]):
        raise UserError(f"{wanted_file}: {min(both)!r} stands in {unwanted_file}, too")
    from stages.clip import load_clip

    try:
        clip = load_clip(clip_config)
    except FileNotFoundError as error:
        raise UserError(str(error)) from None
    weights = clip.weights_sha256()
    images = None
    if corpus:
        if weights not in [model["weights_sha256"] for model in corpus.manifest["models"]]:
            raise UserError(f"{corpus.path}: was made with another CLIP model than {config}")
        images = _features(corpus, clip.dimension)
    unwanted, wanted = (clip.texts(part) for part in texts)
    masks = tuple(np.array([_held_out(text) for text in part]) for part in texts)
    for path, mask in zip((unwanted_file, wanted_file), masks, strict=True):
        if not 0 < mask.sum() < len(mask):
            raise UserError(f"{path}: has too few texts to hold some out")
    head = train(unwanted, wanted, (masks[0], masks[1]), images)
    _save(head, output, weights)
    return head


def _held_out(text: str) -> bool:
    return hashlib.sha256(text.encode()).digest()[0] % HELD_OUT == 0


def _features(corpus: Corpus, dimension: int) -> np.ndarray:
    rows = [np.empty((0, dimension), np.float32)]
    for _, _, table in corpus.batches("images", ["clip_feature"]):
        rows += [np.array([row for row in table["clip_feature"].to_pylist() if row], np.float32)
                 .reshape(-1, dimension)]  # fmt: skip
    features = np.concatenate(rows)
    if not len(features):
        raise UserError(f"{corpus.path}: holds no CLIP features; see write.clip_features")
    return features


def _save(head: TrainedHead, output: str, weights_sha256: str) -> None:
    from safetensors.numpy import save

    tensors = {"0.weight": head.weight[None].astype(np.float32),
               "0.bias": np.array([head.bias], np.float32)}  # fmt: skip
    about = {"clip_weights_sha256": weights_sha256, "text_auc": f"{head.auc:.4f}"}
    try:
        Path(output).write_bytes(save(tensors, metadata=about))
    except OSError as error:
        raise UserError(f"{output}: cannot be written: {error.strerror}") from None


def print_head(console: Console, head: TrainedHead, output: str) -> None:
    console.print(
        f"{clean(output)}: trained on {head.texts:,} texts, AUC {head.auc:.4f} on those held out"
    )
    console.print(f"  heads: {{NAME: {{file: {clean(output)}, max_score: 0.5}}}}", style="dim")


def as_json(head: TrainedHead, output: str) -> dict[str, Any]:
    return {"file": output, "texts": head.texts, "text_auc": head.auc}
