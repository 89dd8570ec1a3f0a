"""Finds images that look alike to CLIP, among those that the remaining documents show.

In: ImageRecord, one for each kept URL, and (image URL, doc_id) of the documents that stay.
Out: kept ImageRecord, rejected Rejection, failed Failure; and the records that were flagged.

    same bytes are one picture -> samples to one worker, k-means -> pictures to cells -> pairs of a
    cell -> edges -> connected components -> removals, joined with the records by id

Features come from the image store and go to their cells through files: only ids are shuffled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, TypedDict

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import AsSingleton, PCollection, TaggedOutput

from schemas.dedup import CellMember, Removal, Sameness
from schemas.image import ImageRecord, ImageScore
from schemas.outcome import Failure, Kind, Rejection
from schemas.table import WrittenFile
from stages.dedup.components import end, id_of, star
from stages.dedup.connect import Connect
from stages.dedup.semantic import Features, SemanticConfig, alike, assign, train
from stages.doors import REJECTED, through_doors
from stages.files import join, open_parquet
from stages.store_images import read_stored
from stages.write_rows import WriteRows

STAGE = "deduplicate_images"
CELLS = "cells"
RULE = str(Sameness.SEMANTIC)
NEAREST: Final = "nearest"
FLAGGED: Final = "flagged"

Picture = tuple[str, str, str, int]  # image_id, end, store file, row in it


class Reason(StrEnum):
    DUPLICATE = "duplicate"


class Inputs(TypedDict):
    """What `DeduplicateImages` is applied to.

    Attributes:
      shown: of the documents that will stay; URLs without a record are left out of account. An
        image that none of them shows is kept and compared with none, else it could stay for others
        and go with its document.
    """

    records: PCollection[ImageRecord]
    shown: PCollection[tuple[str, str]]


class Deduplicated(NamedTuple):
    kept: PCollection[ImageRecord]
    rejected: PCollection[Rejection]
    failed: PCollection[Failure]
    flagged: PCollection[ImageRecord]


@dataclass
class DeduplicateImages(beam.PTransform):
    """Of images that look alike keeps one; equal bytes are one image, under whatever URLs.

    Nothing depends on the order of the input, on bundles or on the number of workers.

    scripts/bench/semantic.py measures time and recall. A worker holds the samples, and the images
    of a part three times over (2 KB each at 512 values); each image is in `probes` parts. Features
    are written `probes` times more to disk.

    Attributes:
      store: folder of the image store that the records point to.
      directory: where files of features by cell are written.
      parts: into how many parts cells are distributed; a worker holds a part at a time.
    """

    config: SemanticConfig
    store: str
    directory: str
    parts: int

    def expand(self, inputs: Inputs) -> Any:
        """Returns `Deduplicated`; Beam does not know the type and would warn of it."""
        config = self.config
        records = (
            {
                "records": inputs["records"] | "By URL" >> beam.Map(_by_url),
                "shown": inputs["shown"],
            }
            | "Meet" >> beam.CoGroupByKey()
            | "Records" >> beam.FlatMap(_met)
        )
        pictures = records | "Same bytes" >> beam.GroupByKey() | "Pictures" >> beam.FlatMap(_shown)
        count = pictures | "Count" >> beam.combiners.Count.Globally()
        centroids = (
            pictures
            | "Sample" >> beam.combiners.Top.Smallest(config.training)
            | "Train" >> beam.Map(_train, AsSingleton(count), config, self.store)
        )
        members = (
            pictures
            | "By file" >> beam.Map(_by_file)
            | "Group files" >> beam.GroupByKey()
            | "Assign" >> beam.FlatMap(_assign, AsSingleton(centroids), config.probes, self.store)
        )
        pairs = (
            members
            | WriteRows(CELLS, self.directory, CellMember, _cell, self.parts)
            | "Parts" >> beam.FlatMap(_parts)
            | "Group parts" >> beam.GroupByKey()
            | "Compare"
            >> beam.ParDo(_Compare(config.threshold, self.directory)).with_outputs(
                NEAREST, main="edges"
            )
        )
        copies = pairs.edges | "Connect" >> Connect(config.components)
        removals = copies.removed | "By id" >> beam.Map(_by_id)
        judged = (
            {"records": records, "removals": removals, "nearest": pairs[NEAREST]}
            | "Join" >> beam.CoGroupByKey()
            | "Spread" >> beam.FlatMap(_spread)
        )
        doors = through_doors(judged, _Judge(config.policy == "flag"), STAGE, FLAGGED)
        return Deduplicated(doors.kept, doors.rejected, doors.failed, doors.flagged)


def _by_url(record: ImageRecord) -> tuple[str, ImageRecord]:
    return record.url, record


def _met(met: tuple[str, dict[str, Any]]) -> Iterator[tuple[str, tuple[ImageRecord, bool]]]:
    _, sides = met
    shown = any(True for _ in sides["shown"])
    for record in sides["records"]:
        yield record.image_id, (record, shown)


def _shown(same: tuple[str, Iterable[tuple[ImageRecord, bool]]]) -> Iterator[Picture]:
    image_id, members = same
    listed = list(members)
    if any(shown for _, shown in listed):
        record = min((record for record, _ in listed), key=lambda record: record.url)
        pixels = record.width * record.height
        yield image_id, end(pixels, image_id), record.store_file, record.store_row


def _by_file(picture: Picture) -> tuple[str, tuple[str, int]]:
    _, end, file, row = picture
    return file, (end, row)


def _train(samples: list[Picture], count: int, config: SemanticConfig, store: str) -> Features:
    """Centroids of shape [cells, d]; empty where there is no image."""
    if not samples:
        return np.empty((0, 0), np.float32)
    # The samples come sorted by id; files are read one after the other.
    places: dict[str, list[tuple[int, int]]] = {}
    for number, (_, _, file, row) in enumerate(sorted(samples)):
        places.setdefault(file, []).append((row, number))
    features: list[bytes] = [b""] * len(samples)
    for file, rows in sorted(places.items()):
        found = read_stored(store, file, [row for row, _ in rows], "clip")
        for (_, number), feature in zip(rows, found, strict=True):
            features[number] = feature
    return train(_matrix(features), config.cells_for(count), config.seed)


def _assign(
    stored: tuple[str, Iterable[tuple[str, int]]], centroids: Features, probes: int, store: str
) -> Iterator[CellMember]:
    file, images = stored
    names, rows = zip(*sorted(images), strict=True)
    features = read_stored(store, file, rows, "clip")
    cells = assign(_matrix(features), centroids, probes).tolist()
    for name, feature, near in zip(names, features, cells, strict=True):
        for cell in near:
            yield CellMember(cell, name, feature)


def _cell(member: CellMember) -> str:
    return str(member.cell)


def _parts(file: WrittenFile) -> Iterator[tuple[str, tuple[str, int]]]:
    for segment in file.segments:
        yield str(segment.bucket), (file.path, segment.row_group)


class _Compare(beam.DoFn):
    def __init__(self, threshold: float, directory: str):
        self._threshold = threshold
        self._directory = directory

    def process(
        self, part: tuple[str, Iterable[tuple[str, int]]]
    ) -> Iterable[str | TaggedOutput[Literal["nearest"], tuple[str, float]]]:
        groups = sorted(set(part[1]))
        table = pa.concat_tables(
            open_parquet(join(self._directory, path)).read_row_group(group, ["cell", "end", "clip"])
            for path, group in groups
        )
        table = table.sort_by([("cell", "ascending"), ("end", "ascending")])
        counts = pc.value_counts(table["cell"]).field("counts").to_pylist()
        start = 0
        for count in counts:
            rows = table.slice(start, count)
            start += count
            ends = rows["end"].to_pylist()
            labels, nearest = alike(_matrix(rows["clip"].to_pylist()), self._threshold)
            for name, cosine in zip(ends, nearest.tolist(), strict=True):
                if cosine:
                    yield _tagged(NEAREST, (id_of(name), cosine))
            clusters: dict[int, list[str]] = {}
            for name, label in zip(ends, labels.tolist(), strict=True):
                clusters.setdefault(label, []).append(name)
            for names in clusters.values():
                yield from star("s", names)


def _matrix(features: list[bytes]) -> Features:
    return np.frombuffer(b"".join(features), "<f4").reshape(len(features), -1)


def _tagged(tag: str, value: Any) -> TaggedOutput:
    return TaggedOutput(tag, value)


def _by_id(removal: Removal) -> tuple[str, str]:
    return removal.doc_id, removal.survivor_id


def _spread(
    joined: tuple[str, dict[str, Any]],
) -> Iterator[tuple[ImageRecord, str, float]]:
    """Each record with the id of the image that stays for it ("" for itself) and their cosine."""
    _, sides = joined
    survivor = next(iter(sides["removals"]), "")
    nearest = max(sides["nearest"], default=0.0)
    for record, _ in sides["records"]:
        yield record, survivor, nearest


class _Judge(beam.DoFn):
    def __init__(self, flag: bool):
        self._flag = flag

    def process(
        self, judged: tuple[ImageRecord, str, float]
    ) -> Iterable[
        ImageRecord
        | TaggedOutput[Literal["rejected"], Rejection]
        | TaggedOutput[Literal["flagged"], ImageRecord]
    ]:
        record, survivor, nearest = judged
        if survivor and self._flag:
            record = replace(record, scores=(*record.scores, ImageScore(RULE, nearest)))
            yield _tagged(FLAGGED, record)
        if survivor and not self._flag:
            rejection = Rejection(record.url, Kind.IMAGE, "", record.url, STAGE, RULE,
                                  str(Reason.DUPLICATE), nearest, survivor)  # fmt: skip
            yield _tagged(REJECTED, rejection)
        else:
            yield record
