"""Assigns images to sentences. Pure: a similarity matrix in, sentence indices out."""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from scipy.optimize import linear_sum_assignment


class Method(StrEnum):
    """How images are assigned to sentences.

    DOM keeps natural order only and assigns nothing. CLIP is mmc4's: linear assignment, at most one
    image a sentence; where a document has more images than sentences, each surplus image takes the
    best sentence of its own row (arXiv 2304.06939 §3, footnote 11).
    """

    DOM = "dom"
    CLIP = "clip"


def assign(similarity: np.ndarray) -> list[int]:
    """mmc4's assignment.

    Args:
      similarity: cosines, shape [images, sentences], at least one sentence, all finite.

    Returns:
      The sentence of each image, in the order of the rows.

    Raises:
      ValueError: no sentence, or a value is not finite.
    """
    images, sentences = similarity.shape
    if sentences == 0:
        raise ValueError("no sentence to assign images to")
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    matched = dict(zip(rows.tolist(), columns.tolist(), strict=True))
    # argmax takes the first of equals, so ties do not depend on the machine.
    return [matched.get(row, int(np.argmax(similarity[row]))) for row in range(images)]


def unplaced_below(
    similarity: np.ndarray, assigned: Sequence[int], floor: float
) -> list[int | None]:
    """Leaves an image unplaced where its assigned similarity is below `floor`."""
    return [
        sentence if similarity[row, sentence] >= floor else None
        for row, sentence in enumerate(assigned)
    ]
