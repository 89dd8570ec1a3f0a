"""Reads the documents that deduplication left, and joins to them the verdicts on their images.

In: bucket numbers.  Out: Candidate, sorted by doc_id inside a bucket.

All that concerns a document lies in the bucket of its id, so a bucket is joined by looking up, and
no text crosses a shuffle.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import apache_beam as beam
from apache_beam.pvalue import PCollection

from schemas.candidate import Candidate
from schemas.dedup import Cluster, ParagraphRemoval, Removal
from schemas.document import Document
from schemas.image import ImageVerdict
from stages.files import join
from stages.read_rows import Bucketed
from stages.store_images import STORE, read_stored

DOCUMENTS, REMOVALS, CLUSTERS, PARAGRAPHS, VERDICTS = (
    "documents",
    "removals",
    "clusters",
    "paragraphs",
    "verdicts",
)


@dataclass
class ReadSurvivors(beam.PTransform):
    """Reads candidate documents.

    Attributes:
      extract, dedup, images, dedup_images: folders of committed phases; None where a phase is not
        run. Where two phases decided about the same, the later one counts.
      features: read the CLIP features of kept images too.
    """

    extract: str
    dedup: str | None = None
    images: str | None = None
    dedup_images: str | None = None
    features: bool = True

    def expand(self, buckets: PCollection[int]) -> PCollection[Candidate]:
        return buckets | "Read and join" >> beam.ParDo(_Read(self)).with_output_types(Candidate)


class _Read(beam.DoFn):
    def __init__(self, spec: ReadSurvivors):
        self._extract = spec.extract
        self._dedup = [folder for folder in (spec.dedup, spec.dedup_images) if folder]
        self._images = [folder for folder in (spec.images, spec.dedup_images) if folder]
        self._store = join(spec.images, STORE) if spec.images and spec.features else ""

    def setup(self):
        self._documents = Bucketed(self._extract, DOCUMENTS, Document)
        self._removals = [Bucketed(folder, REMOVALS, Removal) for folder in self._dedup]
        self._clusters = [Bucketed(folder, CLUSTERS, Cluster) for folder in self._dedup]
        self._paragraphs = [
            Bucketed(folder, PARAGRAPHS, ParagraphRemoval) for folder in self._dedup
        ]
        self._verdicts = [Bucketed(folder, VERDICTS, ImageVerdict) for folder in self._images]

    def process(self, bucket: int) -> Iterable[Candidate]:
        removed = {row.doc_id for table in self._removals for row in table.rows(bucket)}
        clusters = {row.doc_id: row for table in self._clusters for row in table.rows(bucket)}
        paragraphs: dict[str, set[int]] = defaultdict(set)
        for table in self._paragraphs:
            for row in table.rows(bucket):
                paragraphs[row.doc_id].add(row.node_index)
        verdicts = {row.url: row for table in self._verdicts for row in table.rows(bucket)}
        if self._store:
            verdicts = {row.url: row for row in self._with_features(verdicts.values())}
        for document in self._survivors(bucket, removed):
            if cluster := clusters.get(document.doc_id):
                document = replace(
                    document, cluster_id=cluster.cluster_id, cluster_size=cluster.cluster_size
                )
            if gone := paragraphs.get(document.doc_id):
                nodes = tuple(n for i, n in enumerate(document.nodes) if i not in gone)
                document = replace(document, nodes=nodes)
            urls = dict.fromkeys(image.url for image in document.images)
            yield Candidate(document, tuple(verdicts[url] for url in urls if url in verdicts))

    def _with_features(self, verdicts: Iterable[ImageVerdict]) -> Iterator[ImageVerdict]:
        """Verdicts with the CLIP features and thumbnails of kept images, which lie in the store."""
        by_file: dict[str, list[ImageVerdict]] = defaultdict(list)
        for verdict in verdicts:
            by_file[verdict.record.store_file if verdict.record else ""].append(verdict)
        yield from by_file.pop("", [])
        for file, stored in sorted(by_file.items()):
            records = [verdict.record for verdict in stored if verdict.record]
            rows = [record.store_row for record in records]
            features = read_stored(self._store, file, rows, "clip")
            lumas = read_stored(self._store, file, rows, "luma")
            for verdict, record, clip, luma in zip(stored, records, features, lumas, strict=True):
                yield replace(verdict, record=replace(record, clip=clip, luma=luma))

    def _survivors(self, bucket: int, removed: set[str]) -> Iterator[Document]:
        for document in self._documents.rows(bucket, sort_by="doc_id"):
            if document.doc_id not in removed:
                yield document
