"""The sample crawl is what its gold.json says, and the same on every run."""

import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import brotli
import pytest
from lxml import etree
from lxml import html as lxml_html
from PIL import Image as Pillow
from PIL import ImageOps
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed
from warcio.recordloader import ArcWarcRecord

from filters.base import Passage, judge
from filters.references.url_words import UrlWords
from filters.texts.character_repetition import CharacterRepetition
from filters.texts.flagged_words import FlaggedWords
from filters.texts.punctuation import Punctuation
from filters.texts.special_characters import SpecialCharacters
from filters.texts.stop_words import StopWords
from filters.texts.word_count import WordCount
from filters.texts.word_repetition import WordRepetition
from schemas.document import Document, Text
from schemas.image import ImageReference
from scripts.make_sample_crawl import make
from scripts.sample_crawl import pictures, prose
from scripts.scenes import COLOURS, OBJECTS, PATTERNS, SHAPES
from stages.language import identify_language
from stages.sentences import split_sentences

ROOT = Path(__file__).parent.parent.parent
# Source: the cutoffs of OBELICS for nodes and for documents (arXiv 2306.16527, table 3).
PARAGRAPH_RULES = (
    WordCount(4, 1000),
    CharacterRepetition(max_ratio=0.1),
    WordRepetition(max_ratio=0.1),
    SpecialCharacters(max_ratio=0.3),
    StopWords(min_ratio=0.3),
    FlaggedWords(max_ratio=0.01),
    Punctuation(min_ratio=0.001, min_tokens=12),
)
DOCUMENT_RULES = (
    WordCount(10, 2000),
    CharacterRepetition(max_ratio=0.1),
    WordRepetition(max_ratio=0.2),
    SpecialCharacters(max_ratio=0.275),
    StopWords(min_ratio=0.35),
    FlaggedWords(max_ratio=0.01),
    Punctuation(min_ratio=0.03),
)


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "crawl"
    make(out)
    return out


@pytest.fixture(scope="module")
def gold(crawl: Path) -> dict[str, Any]:
    return json.loads((crawl / "gold.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def kept(gold: dict[str, Any]) -> list[dict[str, Any]]:
    return [page for page in gold["pages"] if page["expected"]["outcome"] == "kept"]


@pytest.fixture(scope="module")
def records(crawl: Path, gold: dict[str, Any]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Every readable response and revisit, by (URL, date, type), read by warcio."""
    found = {}
    for name, form in gold["warc_files"].items():
        for offset, raw in _members((crawl / name).read_bytes(), plain=form == "plain"):
            for record in ArchiveIterator(io.BytesIO(raw)):
                if record.rec_type not in ("response", "revisit"):
                    continue
                url = record.rec_headers.get_header("WARC-Target-URI")
                date = record.rec_headers.get_header("WARC-Date")
                found[url, date, record.rec_type] = {
                    "file": name,
                    "offset": offset,
                    "status": int(record.http_headers.get_statuscode()),
                    "type": record.http_headers.get_header("Content-Type"),
                    "body": _body(record),
                }
    return found


@pytest.fixture(scope="module")
def bodies(records: dict[tuple[str, str, str], dict[str, Any]]) -> dict[str, bytes]:
    """The image records by URL."""
    return {
        url: record["body"]
        for (url, _, _), record in records.items()
        if (record["type"] or "").startswith("image/")
    }


def _members(data: bytes, plain: bool) -> Iterator[tuple[int, bytes]]:
    """The gzip members that inflate, or a plain file as a whole."""
    if plain:
        yield 0, data
        return
    start = 0
    while start < len(data):
        inflater = zlib.decompressobj(zlib.MAX_WBITS + 16)
        try:
            raw = inflater.decompress(data[start:])
            end = len(data) - len(inflater.unused_data)
            yield start, raw
        except zlib.error:
            end = data.index(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", start + 8)
        start = end


def _body(record: ArcWarcRecord) -> bytes:
    # warcio 1.8 cannot use the decompressor of brotli 1.2.
    if record.http_headers.get_header("Content-Encoding") == "br":
        return brotli.decompress(record.raw_stream.read())
    return record.content_stream().read()


def _text(page: dict[str, Any]) -> str:
    return "\n\n".join(n["text"] for n in page["nodes"] if n["type"] == "text" and n["required"])


def _grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def _jaccard(a: set[tuple[str, ...]], b: set[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)


def _squash(text: str) -> str:
    return " ".join(text.split())


def test_the_same_bytes_come_out_in_another_process(crawl: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    script = ROOT / "scripts" / "make_sample_crawl.py"
    # Another hash seed, so that no order of a set can hide in the output.
    subprocess.run(
        [sys.executable, str(script), str(again)],
        check=True,
        capture_output=True,
        env=os.environ | {"PYTHONHASHSEED": "4242"},
    )

    def digests(folder: Path) -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}

    assert digests(again) == digests(crawl)
    assert sum(p.stat().st_size for p in crawl.iterdir()) < 12_000_000


def test_totals(gold: dict[str, Any]) -> None:
    totals = gold["totals"]
    assert totals["pages"] == len(gold["pages"]) == 230
    assert totals["pages_by_outcome"] == {"failed": 1, "kept": 185, "rejected": 44}
    assert totals["pages_by_reason"] == {
        "damaged_record": 1,
        "empty_body": 1,
        "image_count": 7,
        "language": 4,
        "mime": 2,
        "near_duplicate": 4,
        "no_image": 3,
        "opt_out": 5,
        "repetition": 2,
        "revisit": 1,
        "status": 2,
        "text_duplicate": 4,
        "too_many_images": 1,
        "too_short": 2,
        "url_duplicate": 6,
    }
    assert totals["rejected_images_of_kept_pages"] == {
        "aspect": 2,
        "broken": 2,
        "frequency": 12,
        "image_opt_out": 2,
        "near_duplicate_image": 2,
        "not_an_image": 2,
        "not_in_crawl": 2,
        "nsfw": 6,
        "repeated_url": 1,
        "size": 2,
        "svg": 2,
    }


def test_every_reason_is_explained(gold: dict[str, Any]) -> None:
    shots = [i for p in gold["pages"] for i in p.get("images", []) + p.get("rejected_images", [])]
    used = {
        e["expected"]["because"] for e in (*gold["pages"], *shots) if "because" in e["expected"]
    }
    assert used == set(gold["because"])
    assert all(
        (e["expected"]["outcome"] == "kept") == ("because" not in e["expected"])
        for e in (*gold["pages"], *shots)
    )


def test_pages_lie_where_gold_says(
    gold: dict[str, Any], records: dict[tuple[str, str, str], dict[str, Any]]
) -> None:
    for page in gold["pages"]:
        record = records.get((page["url"], page["crawl_time"], page["record"]))
        if page["kind"] == "damaged_record":
            assert record is None
            continue
        assert record is not None, page["url"]
        assert (record["file"], record["status"]) == (page["warc_file"], page["status"])
        if gold["warc_files"][page["warc_file"]] != "plain":
            assert record["offset"] == page["warc_offset"]
    pages = {(p["url"], p["crawl_time"]) for p in gold["pages"]}
    resources = {(r["url"], r["crawl_time"]) for r in gold["resources"]}
    assert {(url, date) for url, date, _ in records} <= pages | resources


def test_the_plain_file_has_offsets_of_records(crawl: Path, gold: dict[str, Any]) -> None:
    for page in gold["pages"]:
        if gold["warc_files"][page["warc_file"]] != "plain":
            continue
        data = (crawl / page["warc_file"]).read_bytes()
        part = data[page["warc_offset"] :][: page["warc_length"]]
        assert part.startswith(b"WARC/1.0\r\n")
        assert f"WARC-Target-URI: {page['url']}\r\n".encode() in part


def test_warcio_reads_up_to_the_damaged_record(crawl: Path, gold: dict[str, Any]) -> None:
    (damaged,) = (page for page in gold["pages"] if page["kind"] == "damaged_record")
    path = crawl / damaged["warc_file"]
    expected = {
        element["warc_offset"]
        for element in (*gold["pages"], *gold["resources"])
        if element["warc_file"] == path.name and element["warc_offset"] < damaged["warc_offset"]
    }
    assert len(expected) > 20
    offsets: list[int] = []
    with path.open("rb") as stream:
        archive = ArchiveIterator(stream)
        # warcio takes what it cannot inflate for a record that is not compressed.
        with pytest.raises(ArchiveLoadFailed, match="Invalid WARC record"):
            offsets.extend(archive.get_record_offset() for _ in archive)
    assert set(offsets) == {0, *expected}
    assert 0.2 < damaged["warc_offset"] / path.stat().st_size < 0.8


def test_the_grouped_file_has_several_records_a_member(crawl: Path, gold: dict[str, Any]) -> None:
    (name,) = (name for name, form in gold["warc_files"].items() if form == "grouped")
    sizes = [
        sum(1 for _ in ArchiveIterator(io.BytesIO(raw)))
        for _, raw in _members((crawl / name).read_bytes(), plain=False)
    ]
    assert sizes[0] == 1  # the description of the file
    assert set(sizes[1:-1]) == {6}


def test_kept_pages_show_their_gold_in_order(
    kept: list[dict[str, Any]], records: dict[tuple[str, str, str], dict[str, Any]]
) -> None:
    codings = {"windows_1252": "cp1252"}
    for page in kept:
        body = records[page["url"], page["crawl_time"], "response"]["body"]
        root = lxml_html.fromstring(
            body, parser=lxml_html.HTMLParser(encoding=codings.get(page["kind"], "utf-8"))
        )
        etree.strip_elements(root, "noscript", "head", with_tail=False)
        shown = {i["url"]: i for i in page["images"]}
        for image in root.iter("img"):
            # Private-use characters mark the images in the text.
            sources = " ".join(image.attrib.values())
            mark = "".join(f"\ue000{u}\ue001" for u, i in shown.items() if _shows(sources, i))
            image.tail = mark + (image.tail or "")
        text = _squash(
            root.text_content().replace("\ue000", " \ue000").replace("\ue001", "\ue001 ")
        )
        position = 0
        for node in page["nodes"]:
            if node["type"] == "image":
                wanted = f"\ue000{node['url']}\ue001"
            elif node["role"] == "table_row":
                wanted = node["text"].split(" | ")[0]
            else:
                wanted = _squash(node["text"])
            found = text.find(wanted, position)
            assert found >= 0, (page["url"], wanted)
            position = found + (len(wanted) if node["type"] == "text" else 0)


def _shows(sources: str, image: dict[str, Any]) -> bool:
    return any(url.rpartition("/")[2] in sources for url in (image["written"], *image["urls"]))


def test_kept_images_are_in_the_crawl_and_decode(
    kept: list[dict[str, Any]], bodies: dict[str, bytes]
) -> None:
    formats: Counter[str] = Counter()
    for page in kept:
        for image in page["images"]:
            url = next(url for url in image["urls"] if url in bodies)
            picture = ImageOps.exif_transpose(Pillow.open(io.BytesIO(bodies[url])))
            formats[image["format"]] += 1
            assert (Pillow.open(io.BytesIO(bodies[url])).format or "").lower() == image["format"]
            if url == image["url"]:
                assert picture.size == (image["width"], image["height"])
            assert min(picture.size) >= 150
            assert 0.5 <= picture.width / picture.height <= 2
            assert UrlWords().judge(UrlWords().score(ImageReference(url))) is None
    assert set(formats) == {"jpeg", "png", "webp", "gif"}
    (turned,) = (page for page in kept if page["kind"] == "exif_orientation")
    first = min(turned["images"], key=lambda image: image["url"])
    stored = Pillow.open(io.BytesIO(bodies[first["url"]]))
    assert stored.getexif()[0x0112] == 6
    assert stored.size == (first["height"], first["width"])


def test_refused_images_are_what_they_are_said_to_be(
    kept: list[dict[str, Any]], bodies: dict[str, bytes]
) -> None:
    shots = [image for page in kept for image in page["rejected_images"]]
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for shot in shots:
        by_reason.setdefault(shot["expected"]["because"], []).append(shot)
    assert all(shot["url"] not in bodies for shot in by_reason["not_in_crawl"])
    assert all(min(shot["width"], shot["height"]) < 150 for shot in by_reason["size"])
    assert all(shot["width"] / shot["height"] > 2 for shot in by_reason["aspect"])
    assert all(bodies[s["url"]].startswith(b"<!DOCTYPE html>") for s in by_reason["not_an_image"])
    assert all(bodies[s["url"]].startswith(b"<svg") for s in by_reason["svg"])
    assert all(shot["scene"].startswith("hazard/") for shot in by_reason["nsfw"])
    for shot in by_reason["broken"]:
        with pytest.raises(OSError, match="truncated"):
            Pillow.open(io.BytesIO(bodies[shot["url"]])).load()
    (card,) = {shot["url"] for shot in by_reason["frequency"]}
    assert len({page["url"] for page in kept if card in str(page["rejected_images"])}) > 10


def test_only_copies_look_alike_within_a_document(
    kept: list[dict[str, Any]], bodies: dict[str, bytes]
) -> None:
    def look(image: dict[str, Any]) -> int:
        return pictures.phash(
            ImageOps.exif_transpose(Pillow.open(io.BytesIO(bodies[image["url"]])))
        )

    copies = 0
    for page in kept:
        images = [image for image in page["images"] if image["url"] in bodies]
        looks = [look(image) for image in images]
        for a, b in itertools.combinations(looks, 2):
            assert (a ^ b).bit_count() >= 12, page["url"]
        for image in page["rejected_images"]:
            if image["expected"]["because"] == "near_duplicate_image":
                assert min((look(image) ^ other).bit_count() for other in looks) <= 4
                copies += 1
    assert copies == 2


def test_pictures_are_of_held_out_scenes(gold: dict[str, Any]) -> None:
    held_out = {scene.key for scene in (*pictures.held_out(), *pictures.hazards())}
    shown = {
        image["scene"]
        for page in gold["pages"]
        for image in page.get("images", []) + page.get("rejected_images", [])
    }
    assert shown <= held_out
    assert {key.split("/")[0] for key in shown} == {
        "shape",
        "relation",
        "count",
        "pattern",
        "glyph",
        "object",
        "hazard",
    }


def test_the_true_sentence_is_a_sentence_of_its_node(kept: list[dict[str, Any]]) -> None:
    for page in kept:
        texts = tuple(Text(n["text"]) for n in page["nodes"] if n["type"] == "text")
        sentences = Counter(s.text for s in split_sentences(Document("d", page["url"], texts)))
        true = [image["sentence"] for image in page["images"]]
        assert len(set(true)) == len(true)
        for image in page["images"]:
            assert sentences[image["sentence"]] == 1, (page["url"], image["sentence"])
            assert image["sentence"] in page["nodes"][image["sentence_node"]]["text"]


def test_orders(kept: list[dict[str, Any]]) -> None:
    for page in kept:
        homes = [image["sentence_node"] for image in page["images"]]
        if page["order"] == "text":
            assert all(image["near"] for image in page["images"]), page["url"]
        elif page["order"] == "far":
            by_url = {image["url"]: image["sentence_node"] for image in page["images"]}
            shown = [by_url[n["url"]] for n in page["nodes"] if n["type"] == "image"]
            assert shown == sorted(shown)
        else:
            assert homes != sorted(homes), page["url"]
    assert set(Counter(page["order"] for page in kept)) == {"text", "far", "shuffled"}


def test_no_template_names_what_a_scene_can_show() -> None:
    names = {*COLOURS, *SHAPES, *OBJECTS, *(PATTERNS[0].split())}
    topics = [(*t.sentences, *t.things, *t.tools, *t.acts, t.role) for t in prose.TOPICS]
    texts = [*itertools.chain(*topics), *prose.GENERIC, *prose.HEADINGS]
    for text in texts:
        words = set(re.findall(r"[a-z]+", re.sub(r"\{\w+\}", "", text.lower())))
        assert not {w for w in words if w in names or w.removesuffix("s") in names}, text


def test_articles_pass_the_cutoffs(kept: list[dict[str, Any]]) -> None:
    for page in kept:
        assert 120 <= page["words"] <= 900, page["url"]
        language, probability = identify_language(_text(page))
        assert (language, probability >= 0.8) == ("en", True), page["url"]
        assert judge(DOCUMENT_RULES, Passage(_text(page), "en"))[1] is None, page["url"]
        for node in page["nodes"]:
            if node["type"] == "text" and node["required"]:
                _, objection = judge(PARAGRAPH_RULES, Passage(node["text"], "en"))
                assert objection is None, (objection, node["text"])


def test_other_languages_are_told(gold: dict[str, Any]) -> None:
    pages = [page for page in gold["pages"] if page["kind"] == "language"]
    assert {identify_language(_text(page))[0] for page in pages} == {"de", "fr", "es", "ja"}


def test_only_meant_duplicates_are_alike(gold: dict[str, Any]) -> None:
    pages = [
        page
        for page in gold["pages"]
        if "nodes" in page and page["kind"] not in ("language", "spam", "too_short")
    ]
    grams = [_grams(_text(page)) for page in pages]
    near = []
    for (p, a), (q, b) in itertools.combinations(zip(pages, grams, strict=True), 2):
        if p["cluster"] is None or p["cluster"] != q["cluster"]:
            assert _jaccard(a, b) < 0.3, (p["url"], q["url"])
        elif "text_duplicate" in (p["kind"], q["kind"]):
            assert _text(p) == _text(q)
        elif "near_duplicate" in (p["kind"], q["kind"]):
            near.append(_jaccard(a, b))
    assert len(near) == 4
    assert all(0.8 <= value < 1 for value in near), near


def test_duplicates_are_older_than_what_survives(gold: dict[str, Any]) -> None:
    clusters: dict[str, list[dict[str, Any]]] = {}
    for page in gold["pages"]:
        if page["cluster"]:
            clusters.setdefault(page["cluster"], []).append(page)
    assert len(clusters) == 14
    for members in clusters.values():
        latest = max(members, key=lambda page: page["crawl_time"])
        assert [p for p in members if p["expected"]["outcome"] == "kept"] == [latest]


def test_hostile_markup_is_written_raw_in_the_title(
    gold: dict[str, Any], records: dict[tuple[str, str, str], dict[str, Any]]
) -> None:
    (page,) = (page for page in gold["pages"] if page["kind"] == "hostile_markup")
    body = records[page["url"], page["crawl_time"], "response"]["body"]
    assert b"<title><script>alert(1)</script> A form and what came of it</title>" in body
    assert page["title"].startswith("<script>alert(1)</script>")
    assert any("<script>" in image["alt"] for image in page["images"])


def test_another_size_and_a_bad_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ordinary_per_site is 3, less than 8"):
        make(tmp_path, ordinary_per_site=3)
