"""The wiring: which stage feeds which, and where a phase ends on disk.

    extract       read_pages > filter_pages > extract_documents > filter_text
    dedup         deduplicate
    images        count_references > filter_references > locate > fetch > gather > filter > encode
                  > embed > filter > store > count > filter
    dedup_images  deduplicate_by_images, deduplicate_images
    assemble      join_images > filter_documents > place_images > filter_placed > write_shards

Each phase is one Beam job. What flows inside it is fused or is ids; what goes to the next phase
lies on disk, cut into buckets by document id.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import PCollection

from filters.base import On, Rule
from filters.images.opt_out_list import OptOutList as ListedImages
from filters.pages.opt_out_list import OptOutList as ListedPages
from filters.references.opt_out_list import OptOutList as ListedReferences
from pipeline.config import Config
from schemas.candidate import Candidate
from schemas.dedup import Cluster, ParagraphRemoval, Published, Removal, Signature
from schemas.document import Document, PlacedDocument
from schemas.image import ImageLocation, ImageRecord, ImageVerdict
from schemas.outcome import Failure, Rejection
from schemas.table import WrittenFile
from stages.commit_phase import Ledger
from stages.count_images import CountImages
from stages.count_references import CountReferences
from stages.deduplicate import Deduplicate
from stages.deduplicate_by_images import DeduplicateByImages
from stages.deduplicate_images import DeduplicateImages
from stages.embed_images import EmbedImages
from stages.extract_documents import ExtractDocuments
from stages.fetch_images import FetchImages
from stages.files import join
from stages.filter_documents import FilterDocuments
from stages.filter_images import FilterImages, FilterReferences
from stages.filter_pages import FilterPages
from stages.filter_text import FilterText
from stages.gather_images import GatherImages
from stages.honour_takedowns import HonourTakedowns
from stages.imaging.fetched import FOLDER
from stages.inputs import WarcFile
from stages.join_images import JoinConfig, JoinImages, joined
from stages.locate_images import ListPlaces, LocateImages
from stages.place_images import PlaceImages, without_features
from stages.re_encode_images import ReEncodeImages
from stages.read_documents import ReadDocuments
from stages.read_pages import ReadPages
from stages.read_rows import ReadRows
from stages.read_survivors import CLUSTERS, DOCUMENTS, PARAGRAPHS, REMOVALS, VERDICTS, ReadSurvivors
from stages.store_images import STORE, StoreImages
from stages.tell_verdicts import TellVerdicts
from stages.write_rows import WriteRows
from stages.write_shards import (
    ImageRows,
    ShardTable,
    WriteShards,
    documents_table,
    failed_table,
    images_table,
    rejected_table,
    signatures_table,
)

EXTRACT, DEDUP, IMAGES, DEDUP_IMAGES, ASSEMBLE = (
    "extract",
    "dedup",
    "images",
    "dedup_images",
    "assemble",
)
LOCATIONS, PLACED, SHOWN = "locations", "placed", "shown"
SIGNATURES, PUBLISHED = "signatures", "published"


@dataclass(frozen=True)
class Plan:
    """What all phases of a run know.

    Attributes:
      inputs: the WARC files, sorted by name.
      output: folder of the corpus.
      takedowns: path of the log of takedowns in `output`, empty where there is none.
      buckets: into how many parts documents are cut; the number of shards of each table.
      earlier: paths of the signatures of the corpora that documents are deduplicated against.
    """

    config: Config
    inputs: tuple[WarcFile, ...]
    output: str
    buckets: int
    takedowns: str = ""
    earlier: tuple[str, ...] = ()

    def folder(self, phase: str) -> str:
        """Where a phase works."""
        return join(self.output, "_work", phase)

    def rules(self, listed: type[Any], rules: Sequence[Rule]) -> tuple[Rule, ...]:
        """Rules, and before them the one that `listed` makes of the lists of opt-outs."""
        lists = self.config.opt_out_lists
        if self.takedowns and listed is not ListedPages:
            # Not needed for the corpus to be without them, but nobody is asked for them again.
            lists = (*lists, self.takedowns)
        return (listed(lists), *rules) if lists else tuple(rules)

    @property
    def phases(self) -> dict[str, Callable[[beam.Pipeline, "Plan"], None]]:
        """The phases that the config asks for, in order."""
        phases: dict[str, Callable[[beam.Pipeline, Plan], None]] = {EXTRACT: build_extract}
        if self.config.deduplicate:
            phases[DEDUP] = build_dedup
        if self.config.gather_images:
            phases[IMAGES] = build_images
        if self.config.deduplicate_by_images or self.config.deduplicate_images:
            phases[DEDUP_IMAGES] = build_dedup_images
        return phases | {ASSEMBLE: build_assemble}

    def folder_of(self, phase: str) -> str | None:
        return self.folder(phase) if phase in self.phases else None


def _doc_id(
    row: Document | Removal | Cluster | ParagraphRemoval | Signature | Published | ImageVerdict,
) -> str:
    return row.doc_id


def _placed_id(placed: PlacedDocument) -> str:
    return placed.document.doc_id


def _published(placed: PlacedDocument) -> Published:
    return Published(placed.document.doc_id)


def _image_id(record: ImageRecord) -> str:
    return record.image_id


def _url(location: ImageLocation) -> str:
    return location.url


def build_extract(p: beam.Pipeline, plan: Plan) -> None:
    """WARC files, or corpora, to candidate documents and the places of the crawl's images."""
    config, folder = plan.config, plan.folder(EXTRACT)
    ledger = Ledger(p, folder, plan.buckets)

    files = p | "WARC files" >> beam.Create(list(plan.inputs))
    if config.read.corpus:
        rules = plan.rules(ListedPages, ())
        read = ledger.left("read_documents", files | "Read documents" >> ReadDocuments(rules))
        none = p | "No images" >> beam.Create([]).with_output_types(ImageLocation)
        ledger.wrote(none | WriteRows(LOCATIONS, folder, ImageLocation, _url, plan.buckets))
        _filter_text(plan, ledger, read.kept)
        return
    read = files | "Read pages" >> ReadPages(config.read)
    ledger.left("read_pages", read)
    ledger.wrote(read.images | WriteRows(LOCATIONS, folder, ImageLocation, _url, plan.buckets))
    pages = ledger.entered("filter_pages", read.kept)
    page_rules = plan.rules(ListedPages, config.filter_pages)
    filtered = ledger.left("filter_pages", pages | "Filter pages" >> FilterPages(page_rules))

    pages = ledger.entered("extract_documents", filtered.kept)
    extracted = ledger.left(
        "extract_documents",
        pages | "Extract documents" >> ExtractDocuments(config.extract),
        "dropped",
    )
    _filter_text(plan, ledger, extracted.kept)


def _filter_text(plan: Plan, ledger: Ledger, documents: PCollection[Document]) -> None:
    """The end of the phase, whatever documents are made of."""
    ledger.entered("filter_text", documents)
    kept = ledger.left(
        "filter_text", documents | "Filter text" >> FilterText(plan.config.filter_text), "pruned"
    ).kept
    written = WriteRows(DOCUMENTS, plan.folder(EXTRACT), Document, _doc_id, plan.buckets)
    ledger.wrote(kept | written)
    ledger.commit()


def build_dedup(p: beam.Pipeline, plan: Plan) -> None:
    """Candidate documents to decisions about them."""
    assert plan.config.deduplicate
    folder = plan.folder(DEDUP)
    ledger = Ledger(p, folder, plan.buckets)

    documents = _buckets(p, plan) | ReadRows(DOCUMENTS, plan.folder(EXTRACT), Document)
    ledger.entered("deduplicate", documents)
    find = Deduplicate(plan.config.deduplicate, plan.earlier)
    found = documents | "Deduplicate" >> find
    ledger.left("deduplicate", found, "pruned")
    for table, row_type, rows in (
        (REMOVALS, Removal, found.removed),
        (CLUSTERS, Cluster, found.clusters),
        (PARAGRAPHS, ParagraphRemoval, found.paragraphs),
        (SIGNATURES, Signature, found.signatures),
    ):
        ledger.wrote(rows | WriteRows(table, folder, row_type, _doc_id, plan.buckets))
    ledger.commit()


def build_images(p: beam.Pipeline, plan: Plan) -> None:
    """The distinct image URLs of the surviving documents to records, bytes and verdicts."""
    config, folder = plan.config, plan.folder(IMAGES)
    assert config.gather_images
    ledger = Ledger(p, folder, plan.buckets)

    buckets = _buckets(p, plan)
    survivors = buckets | "Survivors" >> ReadSurvivors(plan.folder(EXTRACT), plan.folder_of(DEDUP))
    sources = config.gather_images.sources
    in_crawl = buckets | ReadRows(LOCATIONS, plan.folder(EXTRACT), ImageLocation)
    elsewhere = p | "Sources" >> beam.Create(sources) | "List places" >> ListPlaces()
    locations = (in_crawl, elsewhere) | "All places" >> beam.Flatten()
    shown = survivors | "Image URLs" >> beam.FlatMap(_shown_urls)
    candidates = survivors | "Candidate URLs" >> beam.FlatMap(_candidate_urls)

    references = shown | "Count references" >> CountReferences()
    ledger.entered("filter_references", references)
    wanted = references | "Filter references" >> FilterReferences(
        plan.rules(ListedReferences, config.filter_references)
    )
    ledger.left("filter_references", wanted)

    tasks = {
        "references": wanted.kept,
        "candidates": candidates,
        "locations": locations,
    } | "Locate images" >> LocateImages(tuple(source.name for source in sources))
    refused, broken = [], []
    if config.gather_images.http.enabled:
        ledger.entered("fetch_images", tasks)
        fetch = FetchImages(config.gather_images, plan.folder(FOLDER), config.opt_out_lists)
        fetched = ledger.left("fetch_images", tasks | "Fetch images" >> fetch)
        tasks, refused, broken = fetched.kept, [fetched.rejected], [fetched.failed]
    ledger.entered("gather_images", tasks)
    gathered = tasks | "Gather images" >> GatherImages(
        config.gather_images, sources, config.opt_out_lists
    )
    ledger.left("gather_images", gathered)

    ledger.entered("filter_images", gathered.kept)
    decoded = gathered.kept | "Filter images" >> FilterImages(
        plan.rules(ListedImages, config.filter_images.decoded)
    )
    ledger.left("filter_images", decoded)

    images = decoded.kept
    if config.gather_images.re_encode:
        ledger.entered("re_encode_images", images)
        encoded = ledger.left(
            "re_encode_images",
            images | "Re-encode images" >> ReEncodeImages(config.gather_images.re_encode),
        )
        images = encoded.kept
        broken.append(encoded.failed)
    if config.clip:
        ledger.entered("embed_images", images)
        embedded = images | "Embed images" >> EmbedImages(config.clip, config.heads)
        ledger.left("embed_images", embedded)
        images = embedded.kept
        refused.append(embedded.rejected)
        broken.append(embedded.failed)
        if config.filter_images.embedded:
            ledger.entered("filter_embedded_images", images)
            judged = images | "Filter embedded images" >> FilterImages(
                config.filter_images.embedded, "filter_embedded_images"
            )
            ledger.left("filter_embedded_images", judged)
            images = judged.kept
            refused.append(judged.rejected)
            broken.append(judged.failed)
    stored = images | "Store images" >> StoreImages(join(folder, STORE))
    counted = {"records": stored.kept, "references": shown} | "Count images" >> CountImages()
    ledger.entered("filter_scored_images", counted)
    scored = counted | "Filter scored images" >> FilterImages(
        config.filter_images.scored, "filter_scored_images"
    )
    ledger.left("filter_scored_images", scored)

    verdicts = {
        "shown": shown,
        "kept": scored.kept,
        "rejected": _all("rejected", wanted.rejected, gathered.rejected, decoded.rejected,
                         scored.rejected, *refused),
        "failed": _all("failed", wanted.failed, gathered.failed, decoded.failed, scored.failed,
                       *broken),
    } | "Tell verdicts" >> TellVerdicts(plan.buckets)  # fmt: skip
    ledger.wrote(verdicts | WriteRows(VERDICTS, folder, ImageVerdict, _doc_id, plan.buckets))
    ledger.commit()


def build_dedup_images(p: beam.Pipeline, plan: Plan) -> None:
    """Surviving documents and their kept images to further decisions about both."""
    config, folder = plan.config, plan.folder(DEDUP_IMAGES)
    ledger = Ledger(p, folder, plan.buckets)

    candidates = _buckets(p, plan) | "Survivors" >> ReadSurvivors(
        plan.folder(EXTRACT), plan.folder_of(DEDUP), plan.folder(IMAGES), features=False
    )
    shown = candidates | "Image URLs" >> beam.FlatMap(_shown_urls)
    if not config.deduplicate_by_images:
        staying = candidates | "URLs to stay" >> beam.FlatMap(_urls_to_stay, config.join_images)
    else:
        ledger.entered("deduplicate_by_images", candidates)
        found = candidates | "Deduplicate by images" >> DeduplicateByImages(
            config.deduplicate_by_images, config.joining
        )
        ledger.left("deduplicate_by_images", found)
        for table, row_type, rows in (
            (REMOVALS, Removal, found.removed),
            (CLUSTERS, Cluster, found.clusters),
        ):
            ledger.wrote(rows | WriteRows(table, folder, row_type, _doc_id, plan.buckets))
        staying = found.shown

    if config.deduplicate_images:
        records = (
            candidates
            | "Kept images" >> beam.FlatMap(_kept_records)
            | "Group kept images" >> beam.GroupByKey()
            | "Distinct kept images" >> beam.Map(_first)
        )
        ledger.entered("deduplicate_images", records)
        judged = {"records": records, "shown": staying} | "Deduplicate images" >> DeduplicateImages(
            config.deduplicate_images, join(plan.folder(IMAGES), STORE), folder, plan.buckets
        )
        ledger.left("deduplicate_images", judged)
        verdicts = {
            "shown": shown,
            "kept": judged.flagged,
            "rejected": judged.rejected,
            "failed": judged.failed,
        } | "Tell verdicts" >> TellVerdicts(plan.buckets)
        ledger.wrote(verdicts | WriteRows(VERDICTS, folder, ImageVerdict, _doc_id, plan.buckets))
    ledger.commit()


def build_assemble(p: beam.Pipeline, plan: Plan) -> None:
    """Documents, decisions and image records to the shards of the corpus."""
    config, folder = plan.config, plan.folder(ASSEMBLE)
    ledger = Ledger(p, folder, plan.buckets)

    documents = _buckets(p, plan) | "Survivors" >> ReadSurvivors(
        plan.folder(EXTRACT),
        plan.folder_of(DEDUP),
        plan.folder_of(IMAGES),
        plan.folder_of(DEDUP_IMAGES),
    )
    if plan.takedowns:
        ledger.entered("honour_takedowns", documents)
        honoured = documents | "Honour takedowns" >> HonourTakedowns(plan.takedowns)
        documents = ledger.left("honour_takedowns", honoured, "pruned").kept
    if config.gather_images:
        ledger.entered("join_images", documents)
        joined = documents | "Join images" >> JoinImages(config.joining)
        documents = ledger.left("join_images", joined, "pruned").kept
    else:
        documents = documents | "Without images" >> beam.Map(_document)
    if config.filter_documents:
        ledger.entered("filter_documents", documents)
        judged = documents | "Filter documents" >> FilterDocuments(config.filter_documents)
        documents = ledger.left("filter_documents", judged).kept

    ledger.entered("place_images", documents)
    place = PlaceImages(config.place_images, config.clip)
    placed = ledger.left("place_images", documents | "Place images" >> place, "pruned").kept
    if config.filter_placed:
        ledger.entered("filter_placed", placed)
        judged = placed | "Filter placed" >> FilterDocuments(
            config.filter_placed, "filter_placed", On.PLACED
        )
        placed = ledger.left("filter_placed", judged).kept

    rows = placed | "Drop features" >> beam.Map(without_features)
    placed_files = rows | WriteRows(PLACED, folder, PlacedDocument, _placed_id, plan.buckets)
    shown = placed | "Shown images" >> beam.FlatMap(_records)
    shown_files = shown | WriteRows(SHOWN, folder, ImageRecord, _image_id, plan.buckets)
    ledger.wrote(placed_files)
    ledger.wrote(shown_files)

    earlier = tuple(plan.folder(phase) for phase in plan.phases if phase != ASSEMBLE)
    image_rows = ImageRows(
        join(plan.folder(IMAGES), STORE), config.write.image_bytes, config.write.clip_features
    )

    def shard(
        table: ShardTable,
        written: PCollection[WrittenFile],
        row_type: type,
        earlier: Sequence[str] = (),
    ) -> None:
        ledger.published(
            written
            | WriteShards(table, plan.output, folder, row_type, plan.buckets, tuple(earlier))
        )

    shard(documents_table(), placed_files, PlacedDocument)
    shard(images_table(image_rows), shown_files, ImageRecord)
    if config.deduplicate and config.write.signatures:
        published = placed | "Published" >> beam.Map(_published)
        ids = WriteRows(PUBLISHED, folder, Published, _doc_id, plan.buckets)
        shard(signatures_table(plan.folder(DEDUP)), published | ids, Published)
    outcomes = ledger.outcomes()
    shard(rejected_table(), outcomes["rejected"], Rejection, earlier)
    shard(failed_table(), outcomes["failed"], Failure, earlier)
    ledger.commit()


def _buckets(p: beam.Pipeline, plan: Plan) -> PCollection[int]:
    numbers = p | "Bucket numbers" >> beam.Create(range(plan.buckets))
    return numbers | "Spread buckets" >> beam.Reshuffle()


def _all(name: str, *collections: PCollection) -> PCollection:
    return collections | f"All image {name}" >> beam.Flatten()


def _shown_urls(candidate: Candidate) -> Iterator[tuple[str, str]]:
    for image in candidate.document.images:
        yield image.url, candidate.document.doc_id


def _urls_to_stay(candidate: Candidate, config: JoinConfig) -> Iterator[tuple[str, str]]:
    if joined(candidate, config):
        yield from _shown_urls(candidate)


def _candidate_urls(candidate: Candidate) -> Iterator[tuple[str, str, int]]:
    for image in candidate.document.images:
        for rank, url in enumerate(image.candidates, start=1):
            yield url, image.url, rank


def _kept_records(candidate: Candidate) -> Iterator[tuple[str, ImageRecord]]:
    for verdict in candidate.verdicts:
        if verdict.record:
            yield verdict.url, verdict.record


def _first(same: tuple[str, Iterable[ImageRecord]]) -> ImageRecord:
    # One URL has one record, which each document that shows it was told.
    return next(iter(same[1]))


def _document(candidate: Candidate) -> Document:
    return candidate.document


def _records(placed: PlacedDocument) -> Iterator[ImageRecord]:
    for image in placed.document.images:
        if image.record:
            yield image.record
