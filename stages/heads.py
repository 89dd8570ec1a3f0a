"""Scores images for unwanted content from their CLIP features.

A head is a set of prompts or a file of weights, a threshold and what is done above it. It fails
closed: an image that a head gave no score leaves by the failed door, never as a safe one. (OBELICS
scores an image that it cannot decode as a black one, which its classifier calls safe.)

Source: zero-shot prompts as in CLIP (arXiv 2103.00020) §3.1; files in the layouts of mmc4's 4-layer
MLP (arXiv 2304.06939 §3.1) and of LAION's CLIP-based-NSFW-Detector (h14_nsfw_model.py): linear
layers with ReLU between them and a sigmoid at the end.
"""

import re
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from scipy.special import expit


class Policy(StrEnum):
    """What is done with an image that scores above the threshold."""

    DROP_IMAGE = "drop_image"
    DROP_DOCUMENT = "drop_document"
    FLAG = "flag"


class Reason(StrEnum):
    UNWANTED = "unwanted"


@dataclass(frozen=True)
class HeadConfig:
    """Zero-shot prompts, or weights from a file; one of the two.

    Attributes:
      unwanted, wanted: prompts; the score is the softmax mass on the unwanted ones.
      logit_scale: factor on the cosines before the softmax; CLIP's own is 100.
      file: weights, safetensors or a torch state dict: ``0.weight`` [h, d], ``0.bias`` [h],
        ``1.weight`` ... in order, whatever stands before the numbers and whichever are left out;
        the last layer has one output. ``mean`` and ``variance`` [d] standardise the features first
        (the Normalization layer of LAION's ViT-L/14 and B/32 detectors).
      max_score: a higher score is unwanted; in [0, 1].
      policy: ``drop_image``, ``drop_document`` (every document that shows the image goes) or
        ``flag`` (the image stays and its row names the head).
      timeout: seconds for the scores of one batch, after which its images fail.
    """

    unwanted: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()
    logit_scale: float = 100.0
    file: str = ""
    max_score: float = 0.5
    policy: Policy = Policy.DROP_IMAGE
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.unwanted or self.wanted):
            raise ValueError("give either prompts (unwanted and wanted) or a file")
        if not self.file and not (self.unwanted and self.wanted):
            raise ValueError("prompts need at least one unwanted and one wanted")
        if self.file and not Path(self.file).is_file():
            raise ValueError(f"there is no file {self.file}")
        if not 0 <= self.max_score <= 1:
            raise ValueError(f"max_score is {self.max_score}, not in [0, 1]")
        if self.timeout <= 0:
            raise ValueError(f"timeout is {self.timeout}, not above 0")


class Head:
    """A loaded head: a feature of shape [d] to a score in [0, 1].

    Raises:
      FileNotFoundError: its file is not there.
      ValueError: it does not fit the features.
    """

    def __init__(self, name: str, config: HeadConfig, clip: Any):
        self.config = config
        self._weights = Weights.load(name, config.file, clip.dimension) if config.file else None
        prompts = [*config.unwanted, *config.wanted]
        self._prompts = clip.texts(prompts) if prompts else None

    def __call__(self, feature: np.ndarray) -> float:
        if self._weights is not None:
            return self._weights.score(feature)
        assert self._prompts is not None
        logits = self.config.logit_scale * (self._prompts @ feature).astype(np.float64)
        mass = np.exp(logits - logits.max())
        return float(mass[: len(self.config.unwanted)].sum() / mass.sum())


class Heads:
    """All heads of a run."""

    def __init__(self, configs: Mapping[str, HeadConfig], clip: Any):
        self._heads = {name: Head(name, configs[name], clip) for name in sorted(configs)}
        self._limit = min((config.timeout for config in configs.values()), default=None)

    def scores(self, features: np.ndarray) -> list[dict[str, float]]:
        """The score of each head for each row of `features`, shape [n, d].

        Raises:
          TimeoutError: a head took longer than it may.
          ValueError: a head gave what is no score.
        """
        if not self._heads:
            return [{} for _ in features]
        scored: Future[list[dict[str, float]]] = Future()
        # A thread that hangs cannot be stopped: neither the next batch nor the end of the process
        # may wait for it, as they would for an executor's.
        Thread(target=self._score_all, args=(features, scored), daemon=True).start()
        try:
            return scored.result(self._limit)
        except TimeoutError:
            raise TimeoutError(f"the heads gave no scores in {self._limit} s") from None

    def _score_all(self, features: np.ndarray, scored: Future[list[dict[str, float]]]) -> None:
        try:
            scored.set_result(
                [{name: self._checked(name, row) for name in self._heads} for row in features]
            )
        except Exception as error:  # noqa: BLE001  raised where the scores are waited for
            scored.set_exception(error)

    def _checked(self, name: str, feature: np.ndarray) -> float:
        score = float(self._heads[name](feature))
        if not 0 <= score <= 1:
            raise ValueError(f"head {name} gave {score}, no score in [0, 1]")
        return score

    def objection(self, scores: Mapping[str, float]) -> str | None:
        """The first head, by name, that drops an image of these scores."""
        over = (name for name in self._over(scores) if not self._flags(name))
        return next(over, None)

    def flags(self, scores: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the heads that flag an image of these scores."""
        return tuple(name for name in self._over(scores) if self._flags(name))

    def _flags(self, name: str) -> bool:
        return self._heads[name].config.policy is Policy.FLAG

    def _over(self, scores: Mapping[str, float]) -> list[str]:
        return [name for name, head in self._heads.items()
                if scores[name] > head.config.max_score]  # fmt: skip


@dataclass(frozen=True)
class Weights:
    """Linear layers with ReLU between them and a sigmoid at the end.

    Attributes:
      layers: of each the weight [outputs, inputs] and the bias [outputs].
      mean, deviation: [d] each; features are standardised by them first.
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def load(cls, name: str, path: str, dimension: int) -> "Weights":
        """Reads the weights of a head for features of a width.

        Raises:
          FileNotFoundError: there is no such file.
          ValueError: the file holds no head of this width.
        """
        wrong = f"head {name}: {path} is no head from {dimension} features to one score"
        try:
            tensors = _tensors(path)
        except FileNotFoundError:
            raise FileNotFoundError(f"head {name}: there is no file {path}") from None
        except (ValueError, RuntimeError, EOFError) as error:
            raise ValueError(f"{wrong}: {' '.join(str(error).split())[:200]}") from None
        mean = tensors.pop("mean", np.zeros(dimension))
        variance = tensors.pop("variance", np.ones(dimension))
        parts: dict[int, dict[str, np.ndarray]] = {}
        for key, tensor in tensors.items():
            found = re.fullmatch(r"(?:.*\.)?(\d+)\.(weight|bias)", key)
            if not found:
                raise ValueError(f"{wrong}: it holds {', '.join(sorted(tensors))}")
            parts.setdefault(int(found[1]), {})[found[2]] = tensor
        if not parts or any(len(part) != 2 for part in parts.values()):
            raise ValueError(f"{wrong}: it holds {', '.join(sorted(tensors)) or 'nothing'}")
        if mean.shape != (dimension,) or variance.shape != (dimension,):
            raise ValueError(f"{wrong}: mean is {mean.shape} and variance {variance.shape}")
        layers = [(parts[i]["weight"].astype(np.float64), parts[i]["bias"].astype(np.float64))
                  for i in sorted(parts)]  # fmt: skip
        width = dimension
        for i, (weight, bias) in enumerate(layers):
            outputs = 1 if i == len(layers) - 1 else bias.size
            if weight.shape != (outputs, width) or bias.shape != (outputs,):
                raise ValueError(
                    f"{wrong}: layer {i} is {weight.shape} and {bias.shape} for {width} inputs"
                )
            width = outputs
        # Keras adds no epsilon to the root but takes at least this (Normalization, epsilon()).
        return cls(tuple(layers), mean, np.maximum(np.sqrt(variance), 1e-7))

    def score(self, feature: np.ndarray) -> float:
        x = (feature.astype(np.float64) - self.mean) / self.deviation
        for weight, bias in self.layers[:-1]:
            x = np.maximum(weight @ x + bias, 0)
        weight, bias = self.layers[-1]
        return float(expit((weight @ x + bias)[0]))


def _tensors(path: str) -> dict[str, np.ndarray]:
    """What a file of weights holds; as little as possible of the pickle format is read."""
    if Path(path).suffix not in (".pt", ".pth", ".bin"):
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise ValueError(str(error)) from None
    import pickle

    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"it is not weights only: {error}") from None
    return {key: tensor.float().numpy() for key, tensor in state.items()}
