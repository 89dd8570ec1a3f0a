"""CLIP features by open_clip: the embedded model, a pretrained tag or a local checkpoint.

torch and open_clip take seconds and 0.8 GB to import (measured), so they are imported when a model
is first loaded, and a model is loaded once in a process.
"""

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).resolve().parent.parent / "configs" / "models" / "tiny-clip"
LOCAL = "local-dir:"
_LOADING = threading.Lock()


@dataclass(frozen=True)
class ClipConfig:
    """Which model, and how it is run.

    Attributes:
      model: ``embedded`` (the small model in configs/models/tiny-clip, for drawn scenes only),
        ``local-dir:PATH`` (a folder with open_clip_config.json and open_clip_model.safetensors), or
        a name of open_clip, e.g. ``ViT-L-14``.
      pretrained: open_clip's tag, e.g. ``openai``, or the path of a checkpoint; only with a name.
      precision: ``bf16`` is 3.7 times faster than ``fp32`` on CPUs with AVX512_BF16.
      device: torch device; ``auto`` takes a GPU where there is one.
      batch_size: images or sentences a forward pass. Every pass has exactly this size, padded with
        copies, so that a feature does not depend on what else was in its batch.
      threads: torch threads a worker process; more than one pays only with one worker a machine.
    """

    model: str = EMBEDDED
    pretrained: str = ""
    precision: Literal["fp32", "bf16"] = "fp32"
    device: str = "cpu"
    batch_size: int = 32
    threads: int = 1

    def __post_init__(self) -> None:
        local = self.model == EMBEDDED or self.model.startswith(LOCAL)
        if local and self.pretrained:
            raise ValueError(f"clip: {self.model} brings its weights, so pretrained must be empty")
        if not local and not self.pretrained:
            raise ValueError(
                f"clip: model {self.model!r} needs pretrained: a tag of open_clip or a file"
            )
        if self.batch_size < 1 or self.threads < 1:
            raise ValueError("clip: batch_size and threads must be at least 1")


class Clip:
    """A loaded model. Features are float32, unit length, one row an input, shape [n, d]."""

    def __init__(self, config: ClipConfig):
        import open_clip
        import torch

        self._torch = torch
        torch.set_num_threads(config.threads)
        device = config.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = torch.device(device)
        self._batch_size = config.batch_size
        name, tokenizer_options = config.model, {}
        if name == EMBEDDED:
            name = f"{LOCAL}{EMBEDDED_FOLDER}"
        if name.startswith(LOCAL):
            folder = Path(name.removeprefix(LOCAL))
            if not (folder / "open_clip_config.json").is_file():
                raise FileNotFoundError(f"clip: {folder} holds no open_clip_config.json")
            vocabularies = sorted(folder.glob("*bpe*.gz"))
            if vocabularies:
                tokenizer_options["bpe_path"] = str(vocabularies[0])
        try:
            self.model, _, self._preprocess = open_clip.create_model_and_transforms(
                name,
                pretrained=config.pretrained or None,
                require_pretrained=True,
                device=self._device,
            )
        except RuntimeError as error:
            raise FileNotFoundError(
                f"clip: {name} {config.pretrained} cannot be loaded; where there is no network, "
                f"give pretrained as the path of a file. {error}"
            ) from None
        self.model.eval()
        if config.precision == "bf16":
            self.model.to(torch.bfloat16)
        self._dtype = torch.bfloat16 if config.precision == "bf16" else torch.float32
        self._tokenize = open_clip.get_tokenizer(name, **tokenizer_options)

    def weights_sha256(self) -> str:
        """Hash of all weights by name, whatever file they came from."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Features of RGB images; the model's own preprocessing is applied."""
        pixels = [self._preprocess(image) for image in images]
        return self._encode(self.model.encode_image, pixels, self._dtype)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features of texts, cut to the model's context length; each distinct one encoded once."""
        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        tokens = list(self._tokenize(list(distinct))) if distinct else []
        features = self._encode(self.model.encode_text, tokens, None)
        return features[[distinct[text] for text in texts]] if len(texts) else features

    def _encode(self, forward: Any, inputs: list[Any], dtype: Any) -> np.ndarray:
        torch, size = self._torch, self._batch_size
        rows = [np.empty((0, self.dimension), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(inputs), size):
                part = inputs[start : start + size]
                batch = torch.stack(part + part[:1] * (size - len(part)))
                features = forward(batch.to(self._device, dtype), normalize=False).float()
                # Not by the model: in bf16 that leaves lengths 0.2 % off.
                features = torch.nn.functional.normalize(features, dim=-1)
                rows.append(features.cpu().numpy()[: len(part)])
        return np.concatenate(rows)

    @property
    def dimension(self) -> int:
        """Width of a feature."""
        projection = self.model.text_projection
        return int(getattr(projection, "out_features", None) or projection.shape[1])


@lru_cache(maxsize=2)
def _load(config: ClipConfig) -> Clip:
    return Clip(config)


def load_clip(config: ClipConfig) -> Clip:
    """The model of a config, loaded once in this process.

    Raises:
      FileNotFoundError: the model or its weights are not to be had.
    """
    with _LOADING:
        return _load(config)
