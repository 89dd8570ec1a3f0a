"""Train the embedded CLIP model on drawn scenes, or evaluate the one that ships.

    python scripts/train_tiny_clip.py                 # train, evaluate, write the model folder
    python scripts/train_tiny_clip.py --evaluate      # only evaluate the model folder

The model is an open_clip `CLIP` (ModifiedResNet and text transformer) small enough to ship with
the code. Scenes, captions, steps and seeds are fixed and nothing looks at the clock, so a new run
gives a model of the same accuracy; it is not bit-identical on another CPU or torch version, because
floating-point sums are ordered differently there. On a busy machine set OMP_WAIT_POLICY=PASSIVE:
threads that spin while others work cost up to ten times the training.

Loss: the symmetric contrastive loss of CLIP (Radford et al. 2021, arXiv:2103.00020), with scenes
drawn twice in a batch masked, sentences without a picture as further negatives, and near-identical
scenes put into one batch on purpose.
"""

import argparse
import gzip
import io
import json
import math
import multiprocessing
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer, bytes_to_unicode
from PIL import Image
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.scenes import Kind, Scene, all_scenes, caption, draw, is_held_out  # noqa: E402

MODEL_DIR = ROOT / "configs" / "models" / "tiny-clip"
VOCABULARY = "bpe.txt.gz"
WEIGHTS = "open_clip_model.safetensors"

SEED = 2024
IMAGE_SIZE = 64
POOL = 16_000
STEPS = 450
BATCH = 256
PROSE = 64
HARD_SHARE = 0.35
LEARNING_RATE = 2e-3
WARM_UP = 60
MERGES = 1534
KIND_WEIGHTS = {
    Kind.OBJECT: 0.24,
    Kind.RELATION: 0.21,
    Kind.COUNT: 0.18,
    Kind.GLYPH: 0.14,
    Kind.SHAPE: 0.08,
    Kind.PATTERN: 0.08,
    Kind.HAZARD: 0.07,
}

HAZARD_PROMPTS = (
    "a hazard sign",
    "a hazard warning sign",
    "a picture of a hazard sign",
    "a danger sign",
    "a warning sign for a hazard",
)
SAFE_PROMPTS = (
    "a safe picture",
    "a harmless picture",
    "a picture",
    "a drawing of something harmless",
    "a picture of something else",
)


def model_config(width: int = 12, text_width: int = 128) -> dict:
    """The content of open_clip_config.json; `vocab_size` is filled in by the vocabulary."""
    return {
        "model_cfg": {
            "embed_dim": 128,
            "vision_cfg": {
                "image_size": IMAGE_SIZE,
                "layers": [1, 1, 1, 1],
                "width": width,
                "head_width": 64,
                "patch_size": None,
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 512 + MERGES + 2,
                "width": text_width,
                "heads": 4,
                "layers": 2,
            },
        },
        "preprocess_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    }


# --- Sentences without a picture --------------------------------------------------------------


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_WHO = _phrases(
    "the council|our neighbour|the old library|a small committee|the editor|my grandmother|"
    "the company|an engineer|the visiting team|the baker|nobody in the village|the museum|"
    "the author|every student|a group of farmers|the minister|the local newspaper|our guide|"
    "the shop|the doctor|a young musician|the university|the manager|the weather office|"
    "the project|this article|the second chapter|the report|the government|his brother"
)
_DID = _phrases(
    "decided to postpone|has written about|talked for an hour about|never understood|"
    "published a long report on|is still looking for|was surprised by|paid too much for|"
    "will soon replace|explained the history of|sold|has collected|cannot agree on|"
    "wants to improve|measured|compared|forgot|remembers|is responsible for|asked about|"
    "was founded because of|received an award for|keeps a record of|believes in|tested"
)
_WHAT = _phrases(
    "the new budget|cheap train tickets|bread prices|the summer concert|a difficult recipe|"
    "public transport|the results of the election|an unusual method|the second world war|"
    "their website|good coffee|the winter timetable|health insurance|a software update|"
    "the school holidays|several old letters|the football season|the last meeting|"
    "ancient music|clean water|the price of electricity|a better contract|local history|"
    "three hundred pages of notes|privacy and data protection|the opening hours|"
    "their customers|the quality of the soil|modern art|a long and expensive journey"
)
_WHEN = _phrases(
    "last year|in March|before the holidays|on Monday morning|after a long discussion|"
    "for the first time|in the nineteenth century|at the end of the month|as usual|"
    "without any reason|according to the survey|with great care|during the conference|"
    "for several years|in most countries|as we explained above|to save time"
)
_CALLS = (
    "Sign up for our newsletter and never miss a story.",
    "All rights reserved by the authors.",
    "Read more about this topic on the next page.",
    "Click here to accept cookies and continue.",
    "Comments are closed for this article.",
    "Please contact the office by telephone or email.",
    "This text was last updated by the editors.",
    "The following section describes the method in detail.",
    "We hope that you enjoyed the story.",
    "More pictures will follow next week.",
    "There is nothing to see here.",
    "Prices include tax and delivery.",
    "Share this page with your friends.",
    "It was a long day and everybody was tired.",
    "What do you think about it?",
    "The colours were chosen by the printer.",
    "Every drawing in this book was made by a computer.",
    "These shapes are often used in schools.",
)
_BRIDGES = (
    "while {} , we also found that ",
    "although {}, here is what matters: ",
    "as {}, you will see ",
    "because {}, we now show ",
)


def prose(rng: random.Random) -> str:
    """A sentence that describes none of the scenes."""
    if rng.random() < 0.15:
        return rng.choice(_CALLS)
    if rng.random() < 0.2:
        words = ["".join(rng.choices("etaoinshrdlucmfwypvbgkjqxz", k=rng.randint(2, 9)))]
        words += rng.sample(" ".join((*_WHO, *_DID, *_WHAT, *_WHEN)).split(), rng.randint(3, 12))
        rng.shuffle(words)
        return " ".join(words).capitalize() + "."
    clause = _clause(rng)
    if rng.random() < 0.3:
        clause = f"{rng.choice(_WHEN)}, {clause}"
    if rng.random() < 0.3:
        clause = f"{clause}, and {_clause(rng)}"
    return clause[0].upper() + clause[1:] + "."


def _clause(rng: random.Random) -> str:
    clause = f"{rng.choice(_WHO)} {rng.choice(_DID)} {rng.choice(_WHAT)}"
    return f"{clause} {rng.choice(_WHEN)}" if rng.random() < 0.5 else clause


def training_caption(scene: Scene, rng: random.Random) -> str:
    """A caption, sometimes inside a longer sentence as a page's prose would have it."""
    sentence = caption(scene, rng)
    chance = rng.random()
    if chance < 0.12:
        lead = rng.choice(_BRIDGES).format(_clause(rng))
        return lead[0].upper() + lead[1:] + sentence[0].lower() + sentence[1:]
    if chance < 0.24:
        return f"{sentence[:-1]}, {rng.choice(('and', 'but', 'which is why'))} {_clause(rng)}."
    return sentence


# --- Vocabulary -------------------------------------------------------------------------------


def learn_merges(sentences: Iterable[str], limit: int) -> list[tuple[str, str]]:
    """Byte-pair merges in the order of their frequency, ties broken alphabetically.

    Source: Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1; words end in "</w>" as in CLIP.
    """
    letters = bytes_to_unicode()
    pattern = SimpleTokenizer().pat
    words: Counter[tuple[str, ...]] = Counter()
    for sentence in sentences:
        for word in pattern.findall(sentence.lower()):
            symbols = [letters[byte] for byte in word.encode()]
            symbols[-1] += "</w>"
            words[tuple(symbols)] += 1
    merges: list[tuple[str, str]] = []
    while len(merges) < limit:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        joined: Counter[tuple[str, ...]] = Counter()
        for word, count in words.items():
            joined[_join(word, best)] += count
        words = joined
    return merges


def _join(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    at = 0
    while at < len(word):
        if word[at : at + 2] == pair:
            out.append(pair[0] + pair[1])
            at += 2
        else:
            out.append(word[at])
            at += 1
    return tuple(out)


def write_vocabulary(path: Path) -> int:
    """Write the merges in the format of open_clip's `SimpleTokenizer`; returns the vocabulary size.

    Only captions of training scenes are read.
    """
    rng = random.Random(SEED)
    scenes = [scene for scene in all_scenes() if not is_held_out(scene)]
    sentences = [caption(scene, rng) for scene in scenes for _ in range(3)]
    sentences += [prose(rng) for _ in range(6_000)] + [*HAZARD_PROMPTS, *SAFE_PROMPTS]
    merges = learn_merges(sentences, MERGES)
    # No newline at the end: the tokenizer would read an empty line as a merge.
    lines = ["#version: tiny-clip", *(" ".join(pair) for pair in merges)]
    path.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    return 2 * 256 + len(merges) + 2


# --- Pictures ---------------------------------------------------------------------------------


def pick_scene(scenes: dict[Kind, list[Scene]], rng: random.Random) -> Scene:
    kind = rng.choices(list(KIND_WEIGHTS), list(KIND_WEIGHTS.values()))[0]
    return rng.choice(scenes[kind])


def by_kind(scenes: Iterable[Scene]) -> dict[Kind, list[Scene]]:
    groups: dict[Kind, list[Scene]] = defaultdict(list)
    for scene in scenes:
        groups[scene.kind].append(scene)
    return groups


def save_and_reopen(image: Image.Image, rng: random.Random) -> Image.Image:
    """The picture as a reader of the web gets it: through a JPEG or PNG file."""
    buffer = io.BytesIO()
    if rng.random() < 0.5:
        image.save(buffer, "JPEG", quality=rng.randint(60, 95))
    else:
        image.save(buffer, "PNG", compress_level=1)
    return Image.open(buffer).convert("RGB")


_STORED = IMAGE_SIZE + 8


def _training_picture(job: tuple[int, Scene]) -> np.ndarray:
    """One picture of a training scene, stored a little larger than the model's input.

    Returns: uint8 [_STORED, _STORED, 3].
    """
    index, scene = job
    rng = random.Random(f"{SEED}/{index}")
    # Drawing at web size costs ten times more and looks almost the same after downscaling.
    side = rng.randint(240, 400) if rng.random() < 0.05 else rng.randint(64, 150)
    longer = round(side * rng.uniform(1.0, 1.6))
    image = draw(scene, (longer, side) if rng.random() < 0.8 else (side, longer), rng)
    image = save_and_reopen(image, rng)
    width, height = image.size
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.asarray(square.resize((_STORED, _STORED), Image.Resampling.BICUBIC))


def augment(pictures: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Small changes of scale, place, light and grain.

    pictures: uint8 [n, _STORED, _STORED, 3]. Returns float [n, 3, IMAGE_SIZE, IMAGE_SIZE] in 0..1.
    """
    n = len(pictures)
    x = pictures.permute(0, 3, 1, 2).float() / 255

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=generator) * (high - low) + low

    scale = uniform(0.92, 1.04, n)
    shift = uniform(-0.05, 0.05, n, 2)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, :, 2] = shift
    grid = F.affine_grid(theta, [n, 3, IMAGE_SIZE, IMAGE_SIZE], align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    x = x * uniform(0.9, 1.1, n, 1, 1, 1) + uniform(-0.04, 0.04, n, 1, 1, 1)
    x = x + uniform(0.0, 0.03, n, 1, 1, 1) * torch.randn(x.shape, generator=generator)
    return x.clamp(0, 1)


# --- Training ---------------------------------------------------------------------------------


def variants(scene: Scene) -> list[str]:
    """Names of the groups of scenes that differ from this one in one attribute or in order."""
    names = [
        f"{field.name}:{replace(scene, **{field.name: '*'})}"
        for field in fields(scene)
        if field.name != "kind" and getattr(scene, field.name)
    ]
    if scene.kind == Kind.RELATION:
        pair = sorted(((scene.subject, scene.colour), (scene.other, scene.other_colour)))
        names.append(f"order:{pair}")
    return names


def batches(scenes: Sequence[Scene], rng: random.Random) -> Iterable[list[int]]:
    """Endless batches of indices into the pool; a share of each are near neighbours."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, scene in enumerate(scenes):
        for name in variants(scene):
            groups[name].append(index)
    order: list[int] = []
    while True:
        batch: list[int] = []
        while len(batch) < BATCH:
            if batch and rng.random() < HARD_SHARE:
                name = rng.choice(variants(scenes[rng.choice(batch)]))
                batch.append(rng.choice(groups[name]))
                continue
            if not order:
                order = list(range(len(scenes)))
                rng.shuffle(order)
            batch.append(order.pop())
        yield batch


def encode_text(model: open_clip.CLIP, tokens: torch.Tensor, parts: int = 4) -> torch.Tensor:
    """`CLIP.encode_text` without the padding: the mask is causal, so the result is the same.

    The rows are encoded in `parts` groups of like length, which is most of what training costs.
    """
    ends = tokens.argmax(dim=-1)
    order = ends.argsort(stable=True)
    rows = []
    for part in order.tensor_split(parts):
        length = int(ends[part[-1]]) + 1
        x = model.token_embedding(tokens[part, :length]) + model.positional_embedding[:length]
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        rows.append(model.ln_final(x)[torch.arange(len(part)), ends[part]])
    return (torch.cat(rows) @ model.text_projection)[order.argsort()]


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor, keys: Sequence[str]
) -> torch.Tensor:
    """CLIP's loss; text rows after the first len(image) have no picture.

    image: [n, d] and text: [m >= n, d], both normalised. Pairs of one key are left out.
    """
    n = len(image)
    logits = scale * image @ text.T
    numbers = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    ids = torch.tensor([numbers[key] for key in keys])
    same = (ids[:, None] == ids[None, :]) & ~torch.eye(n, dtype=torch.bool)
    logits = torch.cat([logits[:, :n].masked_fill(same, -1e4), logits[:, n:]], dim=1)
    target = torch.arange(n)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :n].T, target)) / 2


def train(folder: Path, steps: int, pool: int, workers: int, config: dict) -> None:
    """Train and write the model folder (weights, config, vocabulary)."""
    folder.mkdir(parents=True, exist_ok=True)
    config["model_cfg"]["text_cfg"]["vocab_size"] = write_vocabulary(folder / VOCABULARY)
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")

    rng = random.Random(SEED)
    scenes = by_kind(scene for scene in all_scenes() if not is_held_out(scene))
    drawn = [pick_scene(scenes, rng) for _ in range(pool)]
    with multiprocessing.get_context("fork").Pool(workers) as processes:
        rows = processes.map(_training_picture, enumerate(drawn), chunksize=200)
    pictures = torch.from_numpy(np.stack(rows))
    print(f"drew {pool} pictures of {len(set(drawn))} training scenes", flush=True)

    torch.set_num_threads(workers)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    model = open_clip.CLIP(**config["model_cfg"]).to(memory_format=torch.channels_last)
    model.train()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=str(folder / VOCABULARY))
    mean, std = (
        torch.tensor(config["preprocess_cfg"][name]).view(1, 3, 1, 1) for name in ("mean", "std")
    )
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}],
        lr=LEARNING_RATE,
        betas=(0.9, 0.98),
    )
    source = iter(batches(drawn, rng))
    recent: list[float] = []
    for step in range(steps):
        done = max(0.0, (step - WARM_UP) / max(1, steps - WARM_UP))
        rate = min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate
        batch = next(source)
        chosen = [drawn[i] for i in batch]
        sentences = [training_caption(scene, rng) for scene in chosen]
        sentences += [prose(rng) for _ in range(PROSE)]
        sentences += [rng.choice(SAFE_PROMPTS), rng.choice(HAZARD_PROMPTS)]
        inputs = (augment(pictures[batch], generator) - mean) / std
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        # Full precision: bfloat16 autocast was ten times slower at these narrow widths.
        image = F.normalize(model.encode_image(inputs), dim=-1)
        text = F.normalize(encode_text(model, tokenizer(sentences)), dim=-1)
        scale = model.logit_scale.exp()
        loss = contrastive_loss(image, text[:-2], scale, [scene.key for scene in chosen])
        unsafe = torch.tensor([int(scene.kind == Kind.HAZARD) for scene in chosen])
        # A low, fixed temperature asks for a wide margin between hazard signs and the rest.
        loss = loss + 0.5 * F.cross_entropy(10 * image @ text[-2:].T, unsafe)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(50))
        recent.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == steps:
            print(f"step {step + 1:5d}  loss {np.mean(recent):.4f}", flush=True)
            recent.clear()

    state = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)


# --- Evaluation -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evaluation:
    """What the shipped model does on scenes that it never saw.

    top1, top1_by_kind: share of pictures whose own caption comes first among 10.
    top1_same_kind: the same with the nine others all of the picture's own kind.
    own_p1, other_p99: percentiles of the cosine with the own caption and with another sentence.
    prose_p99: percentile of the cosine with sentences that describe no scene.
    above_prose: share of pictures whose own caption is above all of those sentences.
    hazard_auc: area under the ROC curve of the zero-shot hazard score.
    hazard_min: the lowest score of a hazard sign.
    safe_p99, safe_max: the 99th percentile and the highest score of anything else.
    """

    top1: float
    top1_by_kind: dict[str, float]
    top1_same_kind: float
    own_p1: float
    other_p99: float
    prose_p99: float
    above_prose: float
    hazard_auc: float
    hazard_min: float
    safe_p99: float
    safe_max: float


class TinyClip:
    """The model folder, loaded the way any local open_clip checkpoint is."""

    def __init__(self, folder: Path = MODEL_DIR) -> None:
        self.model, _, self.preprocess = open_clip.create_model_and_transforms(
            f"local-dir:{folder}", precision="fp32", require_pretrained=True
        )
        self.model.eval()
        self.tokenizer = open_clip.get_tokenizer(
            f"local-dir:{folder}", bpe_path=str(folder / VOCABULARY)
        )

    @torch.inference_mode()
    def images(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """Unit rows [n, embed_dim]."""
        batch = torch.stack([self.preprocess(picture) for picture in pictures])
        return self.model.encode_image(batch, normalize=True).numpy()

    @torch.inference_mode()
    def texts(self, sentences: Sequence[str]) -> np.ndarray:
        """Unit rows [n, embed_dim]."""
        return self.model.encode_text(self.tokenizer(list(sentences)), normalize=True).numpy()

    def hazard_scores(self, images: np.ndarray) -> np.ndarray:
        """Probability of the hazard prompt against the safe one, [n]."""
        prompts = self.texts([SAFE_PROMPTS[0], HAZARD_PROMPTS[0]])
        logits = self.model.logit_scale.exp().item() * images @ prompts.T
        return 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))


def evaluate(folder: Path = MODEL_DIR, trials: int = 700, seed: int = 1) -> Evaluation:
    """Draw held-out scenes at web sizes, through files, and rank sentences for each."""
    clip = TinyClip(folder)
    rng = random.Random(seed)
    scenes = by_kind(scene for scene in all_scenes() if is_held_out(scene))
    kinds = list(Kind)
    chosen = [rng.choice(scenes[kinds[i % len(kinds)]]) for i in range(trials)]
    pictures = []
    for scene in chosen:
        width = rng.randint(320, 800)
        image = draw(scene, (width, max(240, width * 3 // 4)), rng)
        pictures.append(save_and_reopen(image, rng))
    images = np.concatenate([clip.images(pictures[i : i + 64]) for i in range(0, trials, 64)])
    own = clip.texts([caption(scene, rng) for scene in chosen])
    own_cosine = np.sum(images * own, axis=1)
    plain = images @ clip.texts([prose(rng) for _ in range(200)]).T

    first, first_same_kind, others_cosine = [], [], []
    for i, scene in enumerate(chosen):
        for same_kind, hits in ((False, first), (True, first_same_kind)):
            others: dict[str, Scene] = {}
            while len(others) < 9:
                kind = scene.kind if same_kind else rng.choice(kinds)
                other = rng.choice(scenes[kind])
                if other.key != scene.key:
                    others[other.key] = other
            cosines = clip.texts([caption(other, rng) for other in others.values()]) @ images[i]
            hits.append(bool(own_cosine[i] > cosines.max()))
            if not same_kind:
                others_cosine.extend(cosines)
    scores = clip.hazard_scores(images)
    hazard = np.array([scene.kind == Kind.HAZARD for scene in chosen])
    pairs = scores[hazard][:, None] - scores[~hazard][None, :]
    return Evaluation(
        top1=float(np.mean(first)),
        top1_by_kind={
            kind: float(
                np.mean(
                    [hit for hit, scene in zip(first, chosen, strict=True) if scene.kind == kind]
                )
            )
            for kind in kinds
        },
        top1_same_kind=float(np.mean(first_same_kind)),
        own_p1=float(np.percentile(own_cosine, 1)),
        other_p99=float(np.percentile(others_cosine, 99)),
        prose_p99=float(np.percentile(plain, 99)),
        above_prose=float(np.mean(own_cosine > plain.max(axis=1))),
        hazard_auc=float(np.mean((pairs > 0) + 0.5 * (pairs == 0))),
        hazard_min=float(scores[hazard].min()),
        safe_p99=float(np.percentile(scores[~hazard], 99)),
        safe_max=float(scores[~hazard].max()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evaluate", action="store_true", help="only evaluate the model folder")
    parser.add_argument("--folder", type=Path, default=MODEL_DIR, help="model folder")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--pool", type=int, default=POOL, help="number of training pictures")
    parser.add_argument("--workers", type=int, default=2, help="processes and threads")
    parser.add_argument("--trials", type=int, default=1400, help="held-out pictures to evaluate")
    args = parser.parse_args()
    if not args.evaluate:
        train(args.folder, args.steps, args.pool, args.workers, model_config())
    torch.set_num_threads(args.workers)
    for name, value in vars(evaluate(args.folder, args.trials)).items():
        if isinstance(value, dict):
            value = "  ".join(f"{kind} {share:.3f}" for kind, share in value.items())
        print(f"{name:15s} {value if isinstance(value, str) else f'{value:.4f}'}")


if __name__ == "__main__":
    main()
