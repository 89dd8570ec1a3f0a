"""Assigns images to sentences. Pure: similarities and places in the page in, sentence indices out.

Rows are images in reading order, columns sentences in reading order, and `places[i]` is the number
of sentences that stand before image i in the page.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from scipy.optimize import linear_sum_assignment

# Cosines that differ by less are equal: then the sentence nearer to the image's place wins. It is
# the step between two float32 numbers just below 1, so no difference that a model can mean is lost.
_TIE = 1e-7
_EM_ROUNDS = 20


class Method(StrEnum):
    """How images are assigned to sentences. Natural order is kept beside every one of them.

    DOM assigns nothing.
    MAX gives each image the best sentence of its row, so that a sentence may get several: what
    mmc4 compares its own method to (arXiv 2304.06939 §4).
    GREEDY takes the best pair that is left, again and again; at most one image a sentence.
    CLIP is mmc4's: linear assignment, at most one image a sentence (arXiv 2304.06939 §3).
    HYBRID is linear assignment of similarity and a prior from the image's place in the page.
    ORDERED is HYBRID that keeps the images in the order of the page, by dynamic programming; an
    image that would break it stays unplaced.
    """

    DOM = "dom"
    MAX = "max"
    GREEDY = "greedy"
    CLIP = "clip"
    HYBRID = "hybrid"
    ORDERED = "ordered"


class Surplus(StrEnum):
    """What becomes of the images that are left where a document has more images than sentences.

    BEST: each takes the best sentence of its own row (arXiv 2304.06939, footnote 11).
    UNPLACED: they stay unplaced.
    """

    BEST = "best"
    UNPLACED = "unplaced"


def assign(
    similarity: np.ndarray,
    places: np.ndarray,
    method: Method = Method.CLIP,
    *,
    floor: float | None = None,
    surplus: Surplus = Surplus.BEST,
    bonus: np.ndarray | None = None,
) -> list[int | None]:
    """The sentence of each image, in the order of the rows; None where it stays unplaced.

    With a floor, to stay unplaced is worth as much as a sentence of that similarity, so an image
    that fits nothing takes no sentence from one that does.

    Args:
      similarity: cosines, shape [images, sentences], at least one sentence, all finite.
      places: shape [images].
      method: any but DOM.
      floor: the least similarity that places an image; None places all, but for ORDERED.
      bonus: what the place in the page adds to the similarity, see `order_bonus`, at least 0;
        only for HYBRID and ORDERED.

    Raises:
      ValueError: no sentence, or a value is not finite.
    """
    images, sentences = similarity.shape
    if sentences == 0:
        raise ValueError("no sentence to assign images to")
    if not np.isfinite(similarity).all():
        raise ValueError("a similarity is not finite")
    if not images:
        return []
    allowed = similarity >= (-np.inf if floor is None else floor)
    gain = similarity.astype(np.float64) - (similarity.min() if floor is None else floor)
    gain += _TIE * (2 - distances(places, sentences) / sentences)
    if bonus is not None and method in (Method.HYBRID, Method.ORDERED):
        gain += bonus
    gain[~allowed] = 0  # worth nothing, as to stay unplaced
    if method is Method.MAX:
        chosen = dict(enumerate(gain.argmax(axis=1).tolist()))
    elif method is Method.GREEDY:
        chosen = _greedy(gain)
    elif method is Method.ORDERED:
        chosen = _ordered(gain, share=images > sentences)
    else:
        rows, columns = linear_sum_assignment(gain, maximize=True)
        chosen = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    chosen = {row: column for row, column in chosen.items() if allowed[row, column]}
    if images > sentences and surplus is Surplus.BEST and method is not Method.ORDERED:
        best = gain.argmax(axis=1).tolist()
        chosen = {row: column for row, column in enumerate(best) if allowed[row, column]} | chosen
    return [chosen.get(row) for row in range(images)]


def in_sentence_order(matched: Sequence[int | None]) -> list[int]:
    """The rows of the placed images in the order of their sentences, ties in the page's order.

    Readers of mmc4 put an image token at each matched sentence, walking the sentences, and take the
    pictures in the order of the rows: right only for rows in this order. Whatever is written for
    them must be so sorted, the rows of the matrix with it.
    """
    placed = [(sentence, row) for row, sentence in enumerate(matched) if sentence is not None]
    return [row for _, row in sorted(placed)]


def distances(places: np.ndarray, sentences: int) -> np.ndarray:
    """Sentences between each image and each sentence in the page, 0 for the two beside it.

    Returns: shape [images, sentences].
    """
    after = np.arange(sentences) - np.asarray(places)[:, None]
    return np.where(after >= 0, after, -after - 1)


def order_bonus(
    similarity: np.ndarray,
    places: np.ndarray,
    *,
    trust: float,
    reach: float,
    logit_scale: float,
) -> np.ndarray:
    """What the place of an image in its page adds to its similarities.

    Assumed is that an image stands near its sentence with some probability t, the distance then
    falling off as exp(-d / reach), and anywhere in the page otherwise. `trust` is what t is before
    the page is looked at. How far the similarities of this page agree with its order then moves t
    (expectation maximisation, the prior counting as one image), so that a page whose images stand
    in another order than its text gets almost no bonus. In units of similarity the bonus is

        log(1 + t / (1 - t) * sentences * near) / logit_scale

    because a CLIP model reads logit_scale * cosine as a log-probability (arXiv 2103.00020 §2.3).

    Args:
      similarity: shape [images, sentences], at least one of each.
      places: shape [images].
      trust: in 0..1, both excluded.
      reach: in sentences, above 0.

    Returns: shape [images, sentences], at least 0 everywhere.
    """
    images, sentences = similarity.shape
    near = np.exp(-distances(places, sentences) / reach)
    near *= sentences / near.sum(axis=1, keepdims=True)  # against "anywhere", which is 1
    logits = logit_scale * similarity.astype(np.float64)
    fit = np.exp(logits - logits.max(axis=1, keepdims=True))
    fit /= fit.sum(axis=1, keepdims=True)
    evidence = (fit * near).sum(axis=1)
    t = trust
    for _ in range(_EM_ROUNDS):
        ordered = t * evidence
        t = (trust + (ordered / (ordered + 1 - t)).sum()) / (images + 1)
    return np.log1p(t / (1 - t) * near) / logit_scale


def _greedy(gain: np.ndarray) -> dict[int, int]:
    chosen: dict[int, int] = {}
    taken: set[int] = set()
    sentences = gain.shape[1]
    for cell in np.argsort(-gain, axis=None, kind="stable").tolist():
        row, column = divmod(cell, sentences)
        if row not in chosen and column not in taken:
            chosen[row] = column
            taken.add(column)
    return chosen


def _ordered(gain: np.ndarray, share: bool) -> dict[int, int]:
    """The best choice whose sentences rise from image to image; with `share` some may be equal.

    ``best[i, j]``: the most that the first i images can gain with the first j sentences.
    """
    images, sentences = gain.shape
    best = np.zeros((images + 1, sentences + 1))
    for i in range(1, images + 1):
        before = best[i - 1, 1:] if share else best[i - 1, :-1]
        placed = np.maximum.accumulate(before + gain[i - 1])
        best[i, 1:] = np.maximum(best[i - 1, 1:], placed)
    chosen: dict[int, int] = {}
    j = sentences
    for i in range(images, 0, -1):
        if best[i, j] == best[i - 1, j]:
            continue  # nothing is gained by placing it
        while best[i, j - 1] == best[i, j]:
            j -= 1
        chosen[i - 1] = j - 1
        j -= 0 if share else 1
    return chosen
