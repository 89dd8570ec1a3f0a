"""Scores images for unwanted content from their CLIP features.

Source: zero-shot prompts as in CLIP (arXiv 2103.00020) §3.1; heads in the layout of LAION's
CLIP-based NSFW detector and mmc4's 4-layer MLP (arXiv 2304.06939 §3.1): linear layers with ReLU
between them and a sigmoid at the end.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit


@dataclass(frozen=True)
class NsfwConfig:
    """Zero-shot prompts, or a head from a file; one of the two.

    Attributes:
      unsafe, safe: prompts; the score is the softmax mass on the unsafe ones.
      logit_scale: factor on the cosines before the softmax; CLIP's own is 100.
      head: path of a safetensors file with ``0.weight`` [h, d], ``0.bias`` [h], ``1.weight`` ...;
        the last layer has one output.
    """

    unsafe: tuple[str, ...] = ()
    safe: tuple[str, ...] = ()
    logit_scale: float = 100.0
    head: str = ""

    def __post_init__(self) -> None:
        if bool(self.head) == bool(self.unsafe or self.safe):
            raise ValueError("nsfw: give either prompts (unsafe and safe) or a head")
        if not self.head and not (self.unsafe and self.safe):
            raise ValueError("nsfw: prompts need at least one unsafe and one safe")


class NsfwScorer:
    """Features of shape [d] to a probability in [0, 1].

    Raises:
      FileNotFoundError: the head's file is not there.
      ValueError: the head does not fit the features.
    """

    def __init__(self, config: NsfwConfig, clip: Any):
        self._scale = config.logit_scale
        self._layers = _load_head(config.head, clip.dimension) if config.head else []
        self._unsafe = len(config.unsafe)
        prompts = [*config.unsafe, *config.safe]
        self._prompts = clip.texts(prompts) if prompts else None

    def __call__(self, feature: np.ndarray) -> float:
        if self._prompts is None:
            return _apply_head(self._layers, feature)
        logits = self._scale * (self._prompts @ feature).astype(np.float64)
        mass = np.exp(logits - logits.max())
        return float(mass[: self._unsafe].sum() / mass.sum())


def _load_head(path: str, dimension: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    wrong = f"nsfw: {path} is no head from {dimension} features to one score"
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"nsfw: there is no head at {path}") from None
    except SafetensorError as error:
        raise ValueError(f"{wrong}: {error}") from None
    count = len(tensors) // 2
    names = {f"{i}.{part}" for i in range(count) for part in ("weight", "bias")}
    if not count or tensors.keys() != names:
        raise ValueError(f"{wrong}: it holds {', '.join(sorted(tensors)) or 'nothing'}")
    layers = [(tensors[f"{i}.weight"], tensors[f"{i}.bias"]) for i in range(count)]
    width = dimension
    for i, (weight, bias) in enumerate(layers):
        outputs = 1 if i == count - 1 else bias.size
        if weight.shape != (outputs, width) or bias.shape != (outputs,):
            raise ValueError(
                f"{wrong}: layer {i} is {weight.shape} and {bias.shape} for {width} inputs"
            )
        width = outputs
    return layers


def _apply_head(layers: list[tuple[np.ndarray, np.ndarray]], feature: np.ndarray) -> float:
    x = feature.astype(np.float64)
    for weight, bias in layers[:-1]:
        x = np.maximum(weight @ x + bias, 0)
    weight, bias = layers[-1]
    return float(expit((weight @ x + bias)[0]))
