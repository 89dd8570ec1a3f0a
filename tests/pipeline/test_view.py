"""The page is read by a parser; what its script does is in `test_view_in_browser`."""

import base64
import copy
import hashlib
import html.parser
import io
import itertools
import json
import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.pictures import rejected_texts, rejected_thumbnails, thumbnail
from pipeline.plots import host_of, rule_options
from pipeline.view import href, report
from tests.pipeline.drafts import RED, png

FIRST = f"{1:032x}"
RUN = "<script>document.documentElement.dataset.owned = 1</script>"
HOSTILE = (
    f'\'"><img src=x onerror="document.documentElement.dataset.owned=2">{RUN}</style>{{{{7*7}}}}'
)
BOUNDARY = "\u202eevil\u2066\x00"


class Page(html.parser.HTMLParser):
    """Elements with their attributes, and the text outside of script and style."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.texts, self.raw = [], [], []
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside = tag
            self.raw.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data):
        if self.inside:
            self.raw[-1][2] += data
        else:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def data(self):
        """What the script draws."""
        [text] = [t for _, attributes, t in self.raw if attributes.get("id") == "data"]
        return json.loads(text)

    def code(self, tag):
        """The one script that runs, or the one style."""
        [text] = [t for name, attributes, t in self.raw if name == tag and not attributes]
        return text

    def all(self, tag, **attributes):
        return [
            found
            for name, found in self.elements
            if name == tag and all(found.get(key) == value for key, value in attributes.items())
        ]


def make_hostile(draft):
    row = draft.documents[0]
    for name in ("title", "author", "site", "date"):
        row[name] = HOSTILE + BOUNDARY
    row["url"] = "javascript:document.documentElement.dataset.owned=3//" + HOSTILE
    row["licence"] = "JavaScript:document.documentElement.dataset.owned=4"
    row["texts"][0] = row["text_list"][0] = HOSTILE
    row["texts"][1] = "Before. " + HOSTILE
    row["text_list"][1:3] = ["Before.", HOSTILE]
    row["warc_file"] = HOSTILE
    row["signals"] = [{"rule": HOSTILE, "score": 1.0}]
    row["image_info"][0]["matched_text_index"] = 2
    for name in ("alt", "title", "caption", "link", "url"):
        row["image_info"][0][name] = HOSTILE + BOUNDARY
    row["image_info"][1]["image_id"] = None  # a placeholder with the URL
    row["image_info"][1]["url"] = HOSTILE
    for rejection in draft.rejected:
        rejection |= {"detail": HOSTILE, "url": HOSTILE}
    draft.failed[0] |= {"error": HOSTILE, "url": HOSTILE, "warc_file": HOSTILE}
    draft.config["filter_pages"] = [{"url_words": {"words": [HOSTILE]}}]


@pytest.fixture
def hostile(tmp_path, draft):
    draft = copy.deepcopy(draft)
    make_hostile(draft)
    folder = tmp_path / "hostile"
    draft.write(folder)
    return folder


def source_of(*folders, documents=300, **options):
    return report([open_corpus(str(folder)) for folder in folders], documents, **options)


def page_of(*folders, **options):
    return Page(source_of(*folders, **options))


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def test_every_string_of_the_web_is_text(hostile):
    source = source_of(hostile)
    page = Page(source)
    assert page.all("script") == [{"type": "application/json", "id": "data"}, {}]
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    shown = [page.text, *strings(page.data)]
    assert sum(text.count(RUN) for text in shown) > 15
    assert "{{7*7}}" in page.text
    assert source.count(RUN) == 0
    assert not re.search("[\u202e\u2066\x00]|\\\\u202e", source)


def test_links_lead_to_the_web(hostile, corpus):
    for folder in (hostile, corpus):
        sides = [side for entry in page_of(folder).data["entries"] for side in entry["sides"]]
        links = [x["link"] for side in sides for x in (side, *side["images"])]
        links += [side["licence_link"] for side in sides]
        assert all(re.match(r"https?://", link) for link in links if link)
        assert "https://a.example/two" in links
    assert page_of(hostile).data["entries"][0]["sides"][0]["link"] == ""


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://a.example/x?y=1#z", "https://a.example/x?y=1#z"),
        ("HTTP://a.example/", "HTTP://a.example/"),
        ("https://ä.example/ö", "https://ä.example/ö"),
        ("javascript:alert(1)", ""),
        (" https://a.example/", ""),
        ("java\nscript:alert(1)", ""),
        ("https://a.example/\u202egnp.exe", ""),
        ('https://a.example/" onclick="x', ""),
        ("data:text/html,x", ""),
        ("//a.example/", ""),
        ("https://a.example/\n", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_href(url, link):
    assert href(url) == link


def test_nothing_is_loaded(hostile, corpus):
    for folder in (hostile, corpus):
        page = page_of(folder)
        assert not any({"src", "srcset", "poster", "style"} & a.keys() for _, a in page.elements)
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"link", "iframe", "object", "embed", "base", "use", "image"}
        assert not re.search(r"url\(|@import", page.code("style"))


def test_the_policy_allows_the_one_script_and_the_one_style(corpus):
    page = page_of(corpus)
    [policy] = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    script, style = (
        base64.b64encode(hashlib.sha256(page.code(tag).encode()).digest()).decode()
        for tag in ("script", "style")
    )
    assert policy["content"] == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; "
        f"script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )


def test_documents_by_id_and_their_number(corpus):
    ids = [entry["id"] for entry in page_of(corpus).data["entries"]]
    assert ids == [f"{i:032x}" for i in (1, 2, 3)]
    page = page_of(corpus, documents=1)
    assert [entry["id"] for entry in page.data["entries"]] == [FIRST]
    assert "1 of 3, drawn by a hash" in page.text
    assert page_of(corpus, documents=0).data["entries"] == []


def test_a_page_has_room_for_so_much(corpus):
    data = page_of(corpus, page_bytes=1900).data
    assert [entry["id"] for entry in data["entries"]] == [FIRST]
    assert len(data["thumbnails"]) == 2
    assert page_of(corpus, page_bytes=100).data["entries"] == []


def test_a_document_in_reading_order(corpus):
    [entry] = page_of(corpus, documents=1).data["entries"]
    [side] = entry["sides"]
    assert side["title"] == ["Two pictures"]
    assert side["nodes"] == [
        ["paragraph", [["A red square is here.", [0]], "  It is red."]],
        ["image", 0],
        ["paragraph", [["Then a blue one.", [1]]]],
        ["image", 1],
    ]
    assert side["facts"] == ["en 0.88", "12 tokens", "4 sentences", "2 images", "Ann Author"]
    assert (side["host"], side["language"]) == ("a.example", "en")
    assert side["scores"] == [["word count", "12"]]
    first = side["images"][0]
    assert first == {
        "id": first["id"], "absent": "no bytes", "veiled": False,
        "facts": ["8 × 6", "nsfw 0.250"], "url": RED, "link": RED, "alt": "a red square",
        "title": "", "caption": "Fig. 1", "sentence": "A red square is here.", "at": 1,
        "similarity": 0.75, "cosines": [2, 75, 25, 2],
    }  # fmt: skip


def test_thumbnails_are_small_and_there_once(corpus):
    data = page_of(corpus).data
    assert len(data["thumbnails"]) == 2
    images = data["entries"][0]["sides"][0]["images"]
    for image, (strong, weak) in zip(images, [(0, 2), (2, 0)], strict=True):
        small = base64.b64decode(data["thumbnails"][image["id"]])
        with Image.open(io.BytesIO(small)) as opened:
            assert (opened.format, opened.size) == ("WEBP", (8, 6))
            pixel = opened.convert("RGB").getpixel((4, 3))
        assert pixel[strong] > 230
        assert pixel[weak] < 25


@pytest.mark.parametrize(
    ("nsfw", "flags", "veiled"),
    [(0.25, [], False), (0.375, [], True), (0.0, ["faces"], True),
     (None, [], False)],
)  # fmt: skip
def test_what_is_flagged_or_nearly_so_is_blurred(tmp_path, draft, nsfw, flags, veiled):
    draft.config["heads"] = {"nsfw": {"max_score": 0.5}, "faces": {}}
    draft.images[0] |= {"nsfw": nsfw, "flags": flags}
    draft.write(tmp_path)
    sides = [entry["sides"][0] for entry in page_of(tmp_path).data["entries"]]
    found = {image["veiled"] for side in sides for image in side["images"]
             if image["id"] == draft.images[0]["image_id"]}  # fmt: skip
    assert found == {veiled}


def test_a_thumbnail_fits_its_box_and_stands_on_white():
    buffer = io.BytesIO()
    Image.new("RGBA", (1000, 500), (0, 0, 0, 0)).save(buffer, "png")
    with Image.open(io.BytesIO(thumbnail(buffer.getvalue()))) as opened:
        assert opened.size == (320, 160)
        assert opened.getpixel((100, 100)) == (255, 255, 255)


@pytest.mark.parametrize("data", [b"", b"<html>", png("red")[:40]])
def test_what_does_not_decode_has_no_thumbnail(data):
    assert thumbnail(data) is None


def test_without_bytes_there_are_placeholders(tmp_path, draft):
    for row in draft.images:
        row["bytes"] = None
    draft.write(tmp_path)
    data = page_of(tmp_path).data
    assert data["thumbnails"] == {}
    assert data["entries"][0]["sides"][0]["images"][0]["absent"] == "no bytes"


def test_an_image_without_a_match(corpus):
    [image] = page_of(corpus).data["entries"][1]["sides"][0]["images"]
    assert (image["at"], image["similarity"], image["cosines"]) == (None, None, [6])


def test_the_funnel_and_what_was_left_out(corpus):
    text = page_of(corpus).text
    assert "filter pages 50.0 % kept 6 3 2 1 2 mime: unwanted" in text
    assert "Pages 2 mime unwanted filter pages 2 0.5 text/plain https://a.example/mime" in text
    assert "Parts of documents 1" in text
    assert "ValueError: broken" in text


def test_thresholds_are_those_of_the_config(tmp_path, draft):
    draft.config |= {
        "heads": {"nsfw": {"max_score": 0.75}},
        "filter_documents": [{"image_count": {"min_images": 1, "max_images": 30}}],
        "place_images": {"min_similarity": 0.25, "min_max_similarity": 0.125},
    }
    draft.write(tmp_path)
    page = page_of(tmp_path)
    for label in ("max 0.75", "min 1", "min_similarity 0.25", "min_max_similarity 0.125"):
        assert label in page.text
    assert "beyond the axis: max 30" in page.text
    # 0.75 of the way from the left to the right end of the axis.
    assert {"x1": "236.0", "x2": "236.0"}.items() <= next(
        line for line in page.all("line", **{"class": "limit"}) if line["x1"] == "236.0"
    ).items()


def test_rule_options_are_found_wherever_they_are():
    config = {"a": {"b": [{"x": {"n": 1}}, {"nsfw": {"n": 2}}]}}
    assert rule_options(config, "nsfw") == {"n": 2}
    assert rule_options(config, "other") == {}
    assert rule_options(None, "nsfw") == {}


def test_an_empty_corpus(tmp_path, draft):
    draft.documents, draft.images, draft.rejected, draft.failed, draft.funnel = [], [], [], [], []
    draft.write(tmp_path)
    text = page_of(tmp_path).text
    assert "0 documents, 0 images" in text
    assert "None to show." in text
    assert "Nothing was rejected." in text


def test_the_same_corpus_gives_the_same_page(tmp_path, draft):
    for name in ("one", "two"):
        draft.write(tmp_path / name)
    assert source_of(tmp_path / "one") == source_of(tmp_path / "two")


def test_languages_and_hosts_are_ranked(corpus):
    text = page_of(corpus).text
    assert "Languages en 3 Hosts a.example 2 b.example 1" in text


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://A.example:80/x", "a.example"), ("http://u:p@b.example", "b.example"),
     ("mailto:x", ""), ("", "")],
)  # fmt: skip
def test_host_of(url, host):
    assert host_of(url) == host


# --- rejected pictures ------------------------------------------------------------------------


def test_rejected_pictures_come_from_the_store_and_the_crawl(sample_corpus):
    corpus = open_corpus(str(sample_corpus))
    by = {}
    for _, _, table in corpus.batches("rejected", ["kind", "rule", "reason", "url"]):
        for row in table.to_pylist():
            if row["kind"] == "image":
                by.setdefault(row["rule"], set()).add(row["url"])
    # Rejected after it was stored; before, so that only the crawl has it; and by what decodes none.
    urls = by["image_frequency"] | by["nsfw"] | by["short_side"] | by["gather"]
    found = rejected_thumbnails(corpus, urls)
    assert by["image_frequency"] | by["nsfw"] | by["short_side"] <= found.keys()
    assert not rejected_thumbnails(corpus, ())
    page = page_of(sample_corpus, documents=0)
    pictures = [a["src"] for a in page.all("img")]
    assert len(pictures) > 10
    assert all(picture.startswith("data:image/webp;base64,") for picture in pictures)
    # Of the head `nsfw`, the examples of images and of nodes of documents.
    assert len(page.all("button", **{"class": "veil"})) == 12


def test_an_owner_who_said_no_is_not_shown(sample_corpus):
    corpus = open_corpus(str(sample_corpus))
    rows = [row for _, _, table in corpus.batches("rejected", ["kind", "reason", "url"])
            for row in table.to_pylist()]  # fmt: skip
    asked = {row["url"] for row in rows if row["kind"] == "image" and row["reason"] == "opted_out"}
    assert rejected_thumbnails(corpus, asked).keys() == asked  # they lie in the crawl ...
    source = source_of(sample_corpus, documents=0)
    for url in asked:  # ... and are left out of the page, whose text names them
        example = source[: source.index(url)].rpartition('<figure class="example">')[2]
        assert "<img" not in example


def test_rejected_documents_show_how_they_begin(sample_corpus):
    corpus = open_corpus(str(sample_corpus))
    rows = [row for _, _, table in corpus.batches("rejected", ["kind", "stage", "element_id"])
            for row in table.to_pylist() if row["kind"] == "document"]  # fmt: skip
    removed = {row["element_id"] for row in rows if row["stage"] == "deduplicate"}
    early = {row["element_id"] for row in rows if row["stage"] == "filter_text"}
    found = rejected_texts(corpus, removed | early)
    assert found.keys() == removed
    assert all(100 < len(text) <= 240 and text.endswith(" …") for text in found.values())
    assert found[min(removed)] in page_of(sample_corpus, documents=0).text


def test_what_was_taken_down_has_no_pictures(sample_corpus, tmp_path):
    folder = tmp_path / "corpus"
    (folder / "_work").parent.mkdir()
    (folder / "_work").symlink_to(sample_corpus / "_work")
    (folder / "manifest.json").write_bytes((sample_corpus / "manifest.json").read_bytes())
    url = next(
        row["url"]
        for _, _, table in open_corpus(str(sample_corpus)).batches("rejected", ["rule", "url"])
        for row in table.to_pylist()
        if row["rule"] == "image_frequency"
    )
    assert rejected_thumbnails(open_corpus(str(folder)), [url])
    corpus = open_corpus(str(sample_corpus))
    texts = [i for _, _, table in corpus.batches("documents", ["doc_id"])
             for i in table["doc_id"].to_pylist()]  # fmt: skip
    assert rejected_texts(open_corpus(str(folder)), texts)
    (folder / "takedowns.jsonl").write_text("{}")
    assert rejected_thumbnails(open_corpus(str(folder)), [url]) == {}
    assert rejected_texts(open_corpus(str(folder)), texts) == {}


# --- two corpora ------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path, draft):
    """Two corpora: of three documents one changed and one was rejected by the second."""
    draft.write(tmp_path / "before")
    after = copy.deepcopy(draft)
    after.documents[2]["texts"][0] = after.documents[2]["text_list"][0] = "Blue for ever."
    lost = after.documents.pop(1)
    after.rejected.append(
        {"element_id": lost["doc_id"], "kind": "document", "doc_id": lost["doc_id"],
         "url": lost["url"], "stage": "filter_text", "rule": "word_count", "reason": "too_short",
         "score": 4.0, "detail": ""}
    )  # fmt: skip
    after.config["heads"] = {"nsfw": {"max_score": 0.9}}
    after.write(tmp_path / "after")
    return tmp_path / "before", tmp_path / "after"


def test_two_corpora_side_by_side(pair):
    page = page_of(*pair)
    entries = page.data["entries"]
    assert [(entry["id"][-1], entry["fate"]["status"]) for entry in entries] == [
        ("2", "only in A"), ("3", "changed"), ("1", "same"),
    ]  # fmt: skip
    assert entries[0]["fate"]["why"] == "not in B, filter text: word count: too short"
    assert entries[0]["sides"][1] is None
    assert entries[1]["fate"]["why"] == "differs in text, sentences"
    assert [side["nodes"][0][1] for side in entries[1]["sides"]] == [
        [["Blue again.", [0]]], [["Blue for ever.", [0]]],
    ]  # fmt: skip
    assert len(entries[2]["sides"]) == 1
    assert page_of(*pair, documents=0).data["entries"] == []
    assert "A filter text word count too short 1" in page.text
    assert "heads.nsfw (not set) " not in page.text
    assert "2 documents in both 1 documents only in A 0 documents only in B" in " ".join(
        " ".join(pair) for pair in _tiles(page)
    )
    assert len(page.all("svg", role="img")) >= 12


def _tiles(page):
    texts = [text for text in page.texts if text.strip()]
    return [(b, a) for a, b in itertools.pairwise(texts) if re.search(r" in (both|A|B)$", a)]


# --- the command ------------------------------------------------------------------------------


def test_the_command_writes_the_page(corpus, tmp_path):
    target = tmp_path / "page.html"
    arguments = ["view", str(corpus), "-o", str(target), "--documents", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert target.read_text("utf-8") == source_of(corpus, documents=2)


def test_the_command_compares_two(pair, tmp_path):
    target = tmp_path / "page.html"
    result = CliRunner().invoke(app, ["view", *map(str, pair), "-o", str(target)])
    assert result.exit_code == 0, result.output
    assert target.read_text("utf-8") == source_of(*pair)


def test_where_no_page_can_be_written(corpus, tmp_path):
    target = tmp_path / "no" / "page.html"
    result = CliRunner().invoke(app, ["view", str(corpus), "-o", str(target)])
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
