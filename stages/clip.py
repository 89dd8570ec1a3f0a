"""CLIP features by open_clip: the embedded model, a pretrained tag or a local checkpoint.

torch and open_clip take seconds and 0.8 GB to import (measured), so they are imported when a model
is first loaded, and a model is loaded once in a process.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

EMBEDDED = "embedded"
EMBEDDED_FOLDER = Path(__file__).resolve().parent.parent / "configs" / "models" / "tiny-clip"
LOCAL = "local-dir:"
_LOADING = threading.Lock()
# Tokens that texts are padded to, the model's context beyond them. Of sentences of books and news
# half the tokens of a context of 77 are padding; with these lengths a sixth of the rest is.
_LENGTHS = (16, 24, 32, 48)


@dataclass(frozen=True)
class ClipConfig:
    """Which model, and how it is run.

    Attributes:
      model: ``embedded`` (the small model in configs/models/tiny-clip, for drawn scenes only),
        ``local-dir:PATH`` (a folder with open_clip_config.json and open_clip_model.safetensors), or
        a name of open_clip, e.g. ``ViT-L-14``.
      pretrained: open_clip's tag, e.g. ``openai``, or the path of a checkpoint; only with a name.
      precision: ``bf16`` is 3.7 times faster than ``fp32`` on CPUs with AVX512_BF16; on a GPU it is
        autocast; it needs the backend torch. ``int8`` quantises the weights of linear layers and
        needs the backend onnxruntime; it has one input a pass, see `batch_size`.
      backend: ``onnxruntime`` runs the very model that was loaded, exported; on CPUs only. It needs
        the extra ``onnx``.
      device: torch device; ``auto`` takes a GPU where there is one.
      batch_size: images or sentences a forward pass. Every pass has exactly this size, padded with
        copies, so that a feature does not depend on what else was in its batch.
      threads: threads a worker process; more than one pays only with one worker a machine.
    """

    model: str = EMBEDDED
    pretrained: str = ""
    precision: Literal["fp32", "bf16", "int8"] = "fp32"
    backend: Literal["torch", "onnxruntime"] = "torch"
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
        on_torch = self.backend == "torch"
        if self.precision == ("int8" if on_torch else "bf16"):
            raise ValueError(f"clip: backend {self.backend} has no precision {self.precision}")
        if not on_torch and self.device not in ("cpu", "auto"):
            raise ValueError(f"clip: backend onnxruntime runs on the CPU, not on {self.device}")
        if self.batch_size < 1 or self.threads < 1:
            raise ValueError("clip: batch_size and threads must be at least 1")


class Clip:
    """A loaded model. Features are float32, unit length, one row an input, shape [n, d].

    A feature is a function of its input alone: each pass has one shape, whatever else is in it.

    Attributes:
      logit_scale: factor on the cosines that makes them the model's log-probabilities.
    """

    def __init__(self, config: ClipConfig):
        import open_clip
        import torch

        self._torch = torch
        torch.set_num_threads(config.threads)
        device = config.device
        if device == "auto":
            on_gpu = config.backend == "torch" and torch.cuda.is_available()
            device = "cuda" if on_gpu else "cpu"
        self._device = torch.device(device)
        # A layer quantised as it runs takes its scale from all its inputs.
        self._batch_size = 1 if config.precision == "int8" else config.batch_size
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
        self.model.eval().requires_grad_(False)
        self._tokenize = open_clip.get_tokenizer(name, **tokenizer_options)
        self.logit_scale = float(self.model.logit_scale.exp())
        half = config.precision == "bf16"
        self._autocast = half and self._device.type == "cuda"
        self._pixels = torch.bfloat16 if half and not self._autocast else torch.float32
        self.model.to(self._pixels)
        tower = causal_tower(self.model)
        self._lengths = _LENGTHS if tower else ()
        self._encode_image, self._encode_text = self.model.encode_image, self.model.encode_text
        if tower:
            self._encode_text = partial(causal_features, tower)
        if config.backend == "onnxruntime":
            from stages.clip_onnx import to_onnx

            pixels, tokens = self._preprocess(Image.new("RGB", (64, 64))), self._tokenize([""])[0]
            self._encode_image, self._encode_text = (
                to_onnx(
                    self.model,
                    encode,
                    example.expand(self._batch_size, *example.shape),
                    quantize=config.precision == "int8",
                    threads=config.threads,
                )
                for encode, example in ((self._encode_image, pixels), (self._encode_text, tokens))
            )

    @cached_property
    def dimension(self) -> int:
        """Width of a feature."""
        return self.texts([""]).shape[1]

    def weights_sha256(self) -> str:
        """Hash of all weights by name, whatever file they came from."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Features of RGB images; the model's own preprocessing is applied."""
        if not images:
            return np.empty((0, self.dimension), np.float32)
        pixels = self._torch.stack([self._preprocess(image) for image in images])
        return self._encode(self._encode_image, pixels.to(self._pixels))

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Features of texts, cut to the model's context length; each distinct one encoded once."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        distinct = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        tokens = self._tokenize(list(distinct))
        # A text's own length says how far it is padded, so its feature depends on nothing else.
        lengths = np.array([*self._lengths, tokens.shape[1]])
        ends = tokens.argmax(dim=1).numpy() if self._lengths else np.full(len(tokens), lengths[-1])
        bucket = np.searchsorted(lengths[:-1], ends, side="right")
        parts, rows = [], []
        for number in np.unique(bucket):
            inside = np.flatnonzero(bucket == number)
            parts.append(self._encode(self._encode_text, tokens[inside, : lengths[number]]))
            rows.append(inside)
        features = np.concatenate(parts)[np.argsort(np.concatenate(rows))]
        return features[[distinct[text] for text in texts]]

    def _encode(self, forward: Callable[[Any], Any], inputs: Any) -> np.ndarray:
        torch, size, rows = self._torch, self._batch_size, []
        autocast = torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast)
        with torch.inference_mode(), autocast:
            for part in inputs.split(size):
                padding = part[:1].expand(size - len(part), *part.shape[1:])
                batch = torch.cat([part, padding]).to(self._device)
                # Not normalised by the model: in bf16 that leaves lengths 0.2 % off.
                features = torch.nn.functional.normalize(forward(batch).float(), dim=-1)
                rows.append(features[: len(part)])
            return torch.cat(rows).cpu().numpy()


def causal_tower(model: Any) -> Any | None:
    """The text tower of an open_clip model where padding after a text changes nothing: no token
    sees a later one, and the feature is that of the end mark. None for any other model."""
    tower = getattr(model, "text", model)
    pool = getattr(tower, "text_pool_type", getattr(tower, "pool_type", ""))
    masked = getattr(tower, "attn_mask", None) is not None
    plain = getattr(tower, "cls_emb", None) is None
    return tower if masked and pool == "argmax" and plain else None


def causal_features(tower: Any, tokens: Any) -> Any:
    """Encodes token rows that are cut after the longest text; open_clip's own `encode_text` wants
    the whole context, most of which is padding.

    Args:
      tokens: shape [n, length], the end mark in each.

    Returns: shape [n, d], not normalised.
    """
    length = tokens.shape[1]
    dtype = tower.transformer.get_cast_dtype()
    x = tower.token_embedding(tokens).to(dtype) + tower.positional_embedding[:length].to(dtype)
    x = tower.ln_final(tower.transformer(x, attn_mask=tower.attn_mask[:length, :length]))
    # Gathered, not indexed: the same in what is exported.
    ends = tokens.argmax(dim=-1)[:, None, None].expand(-1, 1, x.shape[-1])
    x = x.gather(1, ends)[:, 0]
    projection = tower.text_projection
    return projection(x) if callable(projection) else x @ projection


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
