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
      extract, dedup, images: folders of committed phases; None where a phase is not run.
    """

    extract: str
    dedup: str | None = None
    images: str | None = None

    def expand(self, buckets: PCollection[int]) -> PCollection[Candidate]:
        return buckets | "Read and join" >> beam.ParDo(
            _Read(self.extract, self.dedup, self.images)
        ).with_output_types(Candidate)


class _Read(beam.DoFn):
    def __init__(self, extract: str, dedup: str | None, images: str | None):
        self._folders = (extract, dedup, images)

    def setup(self):
        extract, dedup, images = self._folders
        self._documents = Bucketed(extract, DOCUMENTS, Document)
        self._removals = dedup and Bucketed(dedup, REMOVALS, Removal)
        self._clusters = dedup and Bucketed(dedup, CLUSTERS, Cluster)
        self._paragraphs = dedup and Bucketed(dedup, PARAGRAPHS, ParagraphRemoval)
        self._verdicts = images and Bucketed(images, VERDICTS, ImageVerdict)
        self._images = images or ""

    def process(self, bucket: int) -> Iterable[Candidate]:
        removed: set[str] = set()
        clusters: dict[str, Cluster] = {}
        paragraphs: dict[str, set[int]] = defaultdict(set)
        verdicts: dict[str, ImageVerdict] = {}
        if self._removals and self._clusters and self._paragraphs:
            removed = {row.doc_id for row in self._removals.rows(bucket)}
            clusters = {row.doc_id: row for row in self._clusters.rows(bucket)}
            for row in self._paragraphs.rows(bucket):
                paragraphs[row.doc_id].add(row.node_index)
        if self._verdicts:
            verdicts = {row.url: row for row in self._with_features(bucket)}
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

    def _with_features(self, bucket: int) -> Iterator[ImageVerdict]:
        """The verdicts of a bucket; the CLIP features of kept images come from the store."""
        assert self._verdicts
        by_file: dict[str, list[ImageVerdict]] = defaultdict(list)
        for verdict in self._verdicts.rows(bucket):
            by_file[verdict.record.store_file if verdict.record else ""].append(verdict)
        yield from by_file.pop("", [])
        for file, verdicts in sorted(by_file.items()):
            records = [verdict.record for verdict in verdicts if verdict.record]
            rows = [record.store_row for record in records]
            features = read_stored(join(self._images, STORE), file, rows, "clip")
            for verdict, record, feature in zip(verdicts, records, features, strict=True):
                yield replace(verdict, record=replace(record, clip=feature))

    def _survivors(self, bucket: int, removed: set[str]) -> Iterator[Document]:
        for document in self._documents.rows(bucket, sort_by="doc_id"):
            if document.doc_id not in removed:
                yield document
