"""Token sequences of one length, ready for pre-training.

Documents are tokenized, an image being `image_tokens` times the placeholder, and packed by best fit
(`pipeline.export.packing`) within a shard. An image is never cut: a document that is too long is
cut before it. A row of the Parquet files:

    input_ids         `length` ids, padded at the end
    segment_lengths   lengths of the pieces in the sequence; what is beyond their sum is padding
    segment_doc_ids   the document of each piece
    image_ids         the images, in the order of their placeholders
    image_positions   where the placeholders of each begin

The images lie beside, in ``images-K.tar``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from pipeline.corpus import first_line
from pipeline.export.obelics import merged
from pipeline.export.order import Order
from pipeline.export.packing import cut, pack
from pipeline.export.shard import Format, Needs, Shard

SCHEMA = pa.schema(
    [
        ("input_ids", pa.list_(pa.int32())),
        ("segment_lengths", pa.list_(pa.int32())),
        ("segment_doc_ids", pa.list_(pa.string())),
        ("image_ids", pa.list_(pa.string())),
        ("image_positions", pa.list_(pa.int32())),
    ]
)


@dataclass(frozen=True)
class _Piece:
    """Attributes:
    ids: tokens, placeholders among them.
    images: id of an image, and where in `ids` it begins.
    """

    doc_id: str
    ids: Any
    images: list[tuple[str, int]]


@dataclass(frozen=True)
class Packed(Format):
    """Attributes:
    tokenizer: a file of the tokenizers library (tokenizer.json).
    length: tokens of a sequence.
    image_token: the placeholder; must be in the tokenizer.
    image_tokens: how many of them stand for an image, as the model has it.
    begin, end: tokens around each document, if any.
    pad: the token of the padding; `end`, else id 0, if empty.
    order: natural or matched.
    images: beside the sequences, or not at all.
    """

    name: ClassVar[str] = "packed"
    tokenizer: str = ""
    length: int = 2048
    image_token: str = "<image>"
    image_tokens: int = 1
    begin: str = ""
    end: str = ""
    pad: str = ""
    order: Order = Order.NATURAL
    images: Literal["none", "tar"] = "tar"

    def __post_init__(self) -> None:
        if not self.tokenizer:
            raise ValueError("tokenizer: name a file of the tokenizers library: tokenizer.json")
        if self.length < 2:
            raise ValueError(f"length: is {self.length}, below 2")
        if not 1 <= self.image_tokens <= self.length:
            raise ValueError(f"image_tokens: is {self.image_tokens}, not in 1..length")
        for name in ("image_token", "begin", "end", "pad"):
            token = getattr(self, name)
            if token and self._tokenizer.token_to_id(token) is None:
                raise ValueError(f"{name}: {self.tokenizer} has no token {token!r}")
        if not self.image_token:
            raise ValueError("image_token: must not be empty")

    @property
    def needs(self) -> Needs:
        return Needs.NOTHING if self.images == "none" else Needs.BYTES

    @cached_property
    def _tokenizer(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise ValueError("the tokenizers library is missing: install weft[pack]") from None
        try:
            tokenizer = Tokenizer.from_file(self.tokenizer)
        except Exception as error:  # noqa: BLE001  the library raises nothing narrower
            raise ValueError(f"tokenizer: {self.tokenizer}: {first_line(error)}") from None
        # A page that writes </s> has written characters, not the end.
        tokenizer.encode_special_tokens = True
        return tokenizer

    def _ids(self, token: str) -> list[int]:
        return [self._tokenizer.token_to_id(token)] if token else []

    def write(self, shard: Shard) -> None:
        pieces: list[_Piece] = []
        for row in shard.documents():
            found = self.pieces(row)
            shard.counts["documents cut"] += len(found) > 1
            shard.counts["pieces"] += len(found)
            pieces += found
        packed = pack([len(piece.ids) for piece in pieces], self.length)
        shown = []
        with shard.parquet(f"packed-{shard.part}.parquet", SCHEMA) as rows:
            for members in packed:
                row = self._row([pieces[i] for i in members])
                used = sum(row["segment_lengths"])
                shard.counts["sequences"] += 1
                shard.counts["tokens"] += used
                shard.counts["tokens of padding"] += self.length - used
                shard.counts["images shown"] += len(row["image_ids"])
                shown += row["image_ids"]
                rows.add(row)
        if self.images == "tar":
            shard.tar_of_images(f"images-{shard.part}.tar", shown)

    def pieces(self, row: dict[str, Any]) -> list[_Piece]:
        """A document's tokens, cut where a sequence would overflow."""
        image = self._ids(self.image_token) * self.image_tokens
        ids: list[int] = []
        blocks: list[int] = []
        images: dict[int, str] = {}  # by the place of their block

        def add(tokens: list[int]) -> None:
            ids.extend(tokens)
            blocks.extend([1] * len(tokens))

        add(self._ids(self.begin))
        for part in merged(row, self.order):
            if isinstance(part, str):
                add(self._encode(part))
            elif part["image_id"]:
                images[len(blocks)] = part["image_id"]
                ids.extend(image)
                blocks.append(len(image))
        add(self._ids(self.end))

        starts = np.concatenate([[0], np.cumsum(blocks, dtype=np.int64)])
        tokens = np.array(ids, np.int32)
        return [
            _Piece(
                row["doc_id"],
                tokens[starts[low] : starts[high]],
                [
                    (images[block], int(starts[block] - starts[low]))
                    for block in sorted(images)
                    if low <= block < high
                ],
            )
            for low, high in cut(blocks, self.length)
        ]

    def _encode(self, text: str) -> list[int]:
        """Tokens of a text. What a page wrote must not pass for an image: a placeholder in a text,
        which need not be a special token, is taken apart by a blank after its first character."""
        if self.image_token in text:
            safe = f"{self.image_token[0]} {self.image_token[1:]}"
            text = text.replace(self.image_token, safe)
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def _row(self, pieces: Sequence[_Piece]) -> dict[str, Any]:
        pad = (self._ids(self.pad) or self._ids(self.end) or [0])[0]
        ids = np.full(self.length, pad, np.int32)
        at = 0
        image_ids, positions = [], []
        for piece in pieces:
            ids[at : at + len(piece.ids)] = piece.ids
            for image_id, place in piece.images:
                image_ids.append(image_id)
                positions.append(at + place)
            at += len(piece.ids)
        return {
            "input_ids": ids,
            "segment_lengths": [len(piece.ids) for piece in pieces],
            "segment_doc_ids": [piece.doc_id for piece in pieces],
            "image_ids": image_ids,
            "image_positions": positions,
        }

    def shares(self, counts: Mapping[str, int]) -> dict[str, float]:
        padding, tokens = counts["tokens of padding"], counts["tokens"]
        return {
            "padding": padding / max(1, padding + tokens),
            "documents truncated": counts["documents cut"] / max(1, counts["documents"]),
        }
