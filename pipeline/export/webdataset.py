"""Interleaved documents as WebDataset tars."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from PIL import Image

from pipeline.export.obelics import general, image_metadata, merged
from pipeline.export.order import Order
from pipeline.export.shard import Format, Needs, Picture, Shard, Tar, extension, json_line


@dataclass(frozen=True)
class WebDataset(Format):
    """A sample is ``ID.json`` and the images as stored, ``ID.1.jpg``, ``ID.4.png`` ..., numbered by
    their places.

    The JSON holds `texts` and `images` in parallel, the images by the names of their files, and the
    metadata of `obelics`. An image whose bytes are not there is left out and counted.

    Source: NeMo Curator writes and reads such tars (nemo-curator 1.4,
    nemo_curator/stages/interleaved/io/writers/webdataset.py and readers/webdataset.py).

    Attributes:
      order: natural or matched.
    """

    name: ClassVar[str] = "webdataset"
    order: Order = Order.NATURAL

    @property
    def needs(self) -> Needs:
        return Needs.BYTES

    def write(self, shard: Shard) -> None:
        with shard.tar(f"{self.name}-{shard.part}.tar") as archive:
            for row in shard.documents():
                self._add(archive, row, shard)

    def _add(self, archive: Tar, row: dict[str, Any], shard: Shard) -> None:
        names: list[str | None] = []
        texts: list[str | None] = []
        found: list[tuple[Any, bytes, str]] = []
        for part, picture in stored(row, self.order, shard):
            if picture is None:
                names.append(None)
                texts.append(part)
                continue
            assert picture.data is not None
            name = f"{row['doc_id']}.{len(names)}.{extension(picture.format)}"
            names.append(name)
            texts.append(None)
            found.append((part, picture.data, name))
        metadata = [image_metadata(info, row, shard) for info, _, _ in found]
        sample = {
            "sample_id": row["doc_id"],
            "texts": texts,
            "images": names,
            **general(row),
            "image_metadata": metadata,
        }
        archive.add(f"{row['doc_id']}.json", json_line(sample))
        for _, data, name in found:
            archive.add(name, data)


def stored(row: dict[str, Any], order: Order, shard: Shard) -> Iterator[tuple[Any, Picture | None]]:
    """The flow of a document: texts, and entries of `image_info` with their bytes. Images without
    bytes are left out and counted."""
    for part in merged(row, order):
        if isinstance(part, str):
            yield part, None
            continue
        picture = shard.picture(part)
        if picture is None or picture.data is None:
            shard.counts["image places without bytes, left out"] += 1
            continue
        shard.counts["image places"] += 1
        yield part, picture


@dataclass(frozen=True)
class Mint(Format):
    """MINT-1T's tars: ``ID.tiff``, a frame an image, and ``ID.json`` with `texts` and `images` in
    parallel, the images by name, and `image_metadata` in the order of the frames.

    Source: the rows that the viewer of mlfoundations/MINT-1T-PDF-CC-2023-23 shows; NeMo Curator's
    reader takes the k-th image of `images` for the k-th frame (nemo-curator 1.4,
    nemo_curator/stages/interleaved/io/readers/webdataset.py). `pdf_name` and
    `bff_contained_ngram_count_before_dedupe` are left out, for there is no PDF and no such filter.
    Frames are RGB or RGBA without loss; `sha256` is that of the file as stored. Images that Pillow
    does not open are left out and counted.

    Attributes:
      order: natural or matched.
    """

    name: ClassVar[str] = "mint"
    order: Order = Order.NATURAL

    @property
    def needs(self) -> Needs:
        return Needs.BYTES

    def write(self, shard: Shard) -> None:
        with shard.tar(f"mint-{shard.part}.tar") as archive:
            for row in shard.documents():
                self._add(archive, row, shard)

    def _add(self, archive: Tar, row: dict[str, Any], shard: Shard) -> None:
        names: list[str | None] = []
        texts: list[str | None] = []
        frames: list[Image.Image] = []
        metadata = []
        for part, picture in stored(row, self.order, shard):
            if picture is None:
                names.append(None)
                texts.append(part)
                continue
            assert picture.data is not None
            frame = _frame(picture.data)
            if frame is None:
                shard.counts["image places that Pillow does not open, left out"] += 1
                continue
            names.append(f"page_0_image_{len(frames)}")
            texts.append(None)
            frames.append(frame)
            width, height = frame.size
            metadata.append(
                {
                    "height": height,
                    "width": width,
                    "page": 0,
                    "sha256": part["image_id"],
                    "xref": len(frames) - 1,
                    "url": part["url"],
                    "alt": part["alt"],
                }
            )
        sample = {
            "url": row["url"],
            "doc_id": row["doc_id"],
            "texts": texts,
            "images": names,
            "image_metadata": metadata,
            "previous_word_count": sum(len(text.split()) for text in texts if text is not None),
            "language_id_whole_page_fasttext": {row["language"]: row["language_score"]},
        }
        archive.add(f"{row['doc_id']}.json", json_line(sample))
        if frames:
            archive.add(f"{row['doc_id']}.tiff", _tiff(frames))


def _frame(data: bytes) -> Image.Image | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            alpha = image.has_transparency_data
            return image.convert("RGBA" if alpha else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _tiff(frames: list[Image.Image]) -> bytes:
    buffer = io.BytesIO()
    first, *rest = frames
    first.save(buffer, "tiff", save_all=True, append_images=rest, compression="tiff_adobe_deflate")
    return buffer.getvalue()
