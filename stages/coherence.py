"""How well the images of a document go together and with its text. Pure.

Features are rows of unit length in reading order, shape [images, d]; lumas are grey thumbnails of
one size, shape [images, side, side].
"""

import numpy as np
from scipy.ndimage import uniform_filter

_WINDOW = 7
_MOST = 256  # images whose thumbnails are compared: each with each, 3 s for so many
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def sequence_coherence(features: np.ndarray) -> float | None:
    """How much more an image is like the one before it than like the others: the mean cosine of
    neighbours less that of all other pairs. None for fewer than three images.

    Source: CoMM (arXiv 2406.10462 §3.2), the filter of image sequences. The paper's second sum runs
    over all pairs, but is divided by the number of pairs that are no neighbours: those are meant.
    """
    cosines = _pairs(features.astype(np.float64) @ features.T.astype(np.float64))
    neighbours = np.diff(np.triu_indices(len(features), 1), axis=0)[0] == 1
    if neighbours.all():
        return None
    return float(cosines[neighbours].mean() - cosines[~neighbours].mean())


def image_text_alignment(similarity: np.ndarray) -> float:
    """The mean over the images of the cosine with the sentence that fits best, [images, sentences].

    Source: the images that mmc4 drops below .15 (arXiv 2304.06939 §3) and CoMM below .1
    (arXiv 2406.10462 §3.2) are judged by the terms of this mean.
    """
    return float(similarity.max(axis=1).astype(np.float64).mean())


def in_sample_similarity(features: np.ndarray, lumas: np.ndarray) -> float | None:
    """InSI-SIM of one document: the mean of (cosine + SSIM) / 2 over all pairs of images. None for
    fewer than two and for more than 256.

    Source: "2.5 Years in Class" (arXiv 2501.00958 §7.5). Its published table cannot be compared:
    its script halves the cosine's weight and adds a constant, and its SSIM is of whole images.
    """
    if not 2 <= len(features) <= _MOST:
        return None
    cosines = _pairs(features.astype(np.float64) @ features.T.astype(np.float64))
    return float((cosines + _pairs(ssim(lumas))).mean() / 2)


def ssim(lumas: np.ndarray) -> np.ndarray:
    """Structural similarity of each image with each, shape [images, images].

    Source: Wang et al. 2004, with the uniform 7 x 7 window and the sample covariance that
    scikit-image's `structural_similarity` takes by default.
    """
    x = lumas.astype(np.float64)
    edge = _WINDOW // 2
    inner = (..., slice(edge, -edge), slice(edge, -edge))

    def mean(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, (0,) * (values.ndim - 2) + (_WINDOW, _WINDOW))[inner]

    unbiased = _WINDOW**2 / (_WINDOW**2 - 1)
    means = mean(x)
    variances = unbiased * (mean(x * x) - means**2)
    out = np.ones((len(x), len(x)))
    for i in range(len(x) - 1):
        j = slice(i + 1, None)
        covariances = unbiased * (mean(x[i] * x[j]) - means[i] * means[j])
        top = (2 * means[i] * means[j] + _C1) * (2 * covariances + _C2)
        bottom = (means[i] ** 2 + means[j] ** 2 + _C1) * (variances[i] + variances[j] + _C2)
        out[i, j] = out[j, i] = (top / bottom).mean(axis=(1, 2))
    return out


def _pairs(matrix: np.ndarray) -> np.ndarray:
    return matrix[np.triu_indices(len(matrix), 1)]
