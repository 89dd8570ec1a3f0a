"""The page is read by a parser, and by a browser where there is one."""

import base64
import copy
import hashlib
import html.parser
import io
import re
import shutil
import subprocess

import pytest
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.view import href, marked, report, rule_options, thumbnail
from tests.pipeline.drafts import BLUE, RED, png

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
        self.elements, self.texts, self.raw = [], [], {}
        self.inside = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside = tag

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = ""

    def handle_data(self, data):
        if self.inside:
            self.raw[self.inside] = self.raw.get(self.inside, "") + data
        else:
            self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

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


def page_of(folder, documents=24):
    return Page(report(open_corpus(str(folder)), documents))


def test_every_string_of_the_web_is_text(hostile):
    source = report(open_corpus(str(hostile)))
    page = Page(source)
    [script] = page.all("script")
    assert script == {}
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]
    assert page.text.count("<script>document.documentElement.dataset.owned = 1</script>") > 15
    assert "{{7*7}}" in page.text
    assert "\u202e" not in source
    assert "\u2066" not in source
    assert "\x00" not in source


def test_links_lead_to_the_web_or_inside(hostile, corpus):
    for folder in (hostile, corpus):
        links = [link["href"] for link in page_of(folder).all("a")]
        assert links
        assert all(re.match(r"https?://|#", link) for link in links)
    assert f"#{FIRST}-2" in links
    assert "https://a.example/one" in links


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
        sources = [a["src"] for _, a in page.elements if "src" in a]
        assert sources
        assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
        tags = {tag for tag, _ in page.elements}
        assert not tags & {"link", "iframe", "object", "embed", "base", "form", "use", "image"}
        assert not any("srcset" in a or "poster" in a for _, a in page.elements)
        assert not re.search(r"url\(|@import", page.raw["style"])


def test_the_policy_allows_the_one_script(corpus):
    page = page_of(corpus)
    [policy] = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = base64.b64encode(hashlib.sha256(page.raw["script"].encode()).digest()).decode()
    assert policy["content"] == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_cards_in_order_and_their_number(corpus):
    ids = [card["id"] for card in page_of(corpus).all("article")]
    assert ids == [f"{i:032x}" for i in (1, 2, 3)]
    assert [card["id"] for card in page_of(corpus, documents=1).all("article")] == [FIRST]
    assert page_of(corpus, documents=0).all("article") == []


def test_a_card_in_reading_order(corpus):
    text = page_of(corpus, documents=1).text
    in_order = [
        "3 documents, 2 images",
        "Two pictures",
        "https://a.example/one",
        "en 0.88 12 tokens 4 sentences 2 images Ann Author",
        "A red square is here. 1 0.75 It is red.",
        "1 8 × 6 nsfw 0.250 Fig. 1 alt a red square 0.75 “A red square is here.”",
        RED,
        "Then a blue one. 2 0.50",
        "2 8 × 6 nsfw 0.250 alt a blue square 0.50 “Then a blue one.”",
        BLUE,
        "word count 12",
    ]
    places = [text.find(part) for part in in_order]
    assert -1 not in places
    assert places == sorted(places)


def test_thumbnails_are_small_jpegs(corpus):
    images = page_of(corpus, documents=1).all("img")
    assert [image["alt"] for image in images] == ["a red square", "a blue square"]
    for image, (strong, weak) in zip(images, [(0, 2), (2, 0)], strict=True):
        data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
        with Image.open(io.BytesIO(data)) as opened:
            assert (opened.format, opened.size) == ("JPEG", (8, 6))
            pixel = opened.convert("RGB").getpixel((4, 3))
        assert pixel[strong] > 240
        assert pixel[weak] < 15


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
    page = page_of(tmp_path)
    assert page.all("img") == []
    assert len(page.all("div", **{"class": "absent"})) == 4
    assert page.text.count(f"no bytes {RED}") == 2


def test_an_image_without_a_match_says_so(corpus):
    assert "no sentence matched" in page_of(corpus).text


def test_the_funnel_and_what_was_left_out(corpus):
    text = page_of(corpus).text
    assert "filter pages 6 3 2 1 2 mime: unwanted" in text
    assert "Pages 2 rule reason stage count examples mime unwanted filter pages 2 show 2" in text
    assert "https://a.example/mime 0.5 text/plain" in text
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


def test_matched_sentences_are_cut_out_over_any_blanks():
    pieces = marked("Yes.  Yes.\nA b. End", [("Yes.", []), ("Yes.", [2]), ("A b.", [1, 3])])
    assert list(pieces) == [
        ("Yes.  ", []),
        ("Yes.", [2]),
        ("\n", []),
        ("A b.", [1, 3]),
        (" End", []),
    ]


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
    one, two = (report(open_corpus(str(tmp_path / name))) for name in ("one", "two"))
    assert one == two


def test_the_command_writes_the_page(corpus, tmp_path):
    target = tmp_path / "page.html"
    arguments = ["view", str(corpus), "-o", str(target), "--documents", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert target.read_text("utf-8") == report(open_corpus(str(corpus)), 2)


def test_where_no_page_can_be_written(corpus, tmp_path):
    target = tmp_path / "no" / "page.html"
    result = CliRunner().invoke(app, ["view", str(corpus), "-o", str(target)])
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


# --- in a browser -----------------------------------------------------------------------------


def dom(page, folder):
    """The page's elements after its script has run in a headless browser."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        pytest.skip("no chromium: what the page's script does is not tested")
    path = folder / "page.html"
    path.write_text(page, "utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}"]  # fmt: skip
    done = subprocess.run(
        [browser, *flags, "--dump-dom", path.as_uri()], capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr.decode()
    return Page(done.stdout.decode())


def test_in_a_browser_our_script_runs_and_no_other(hostile, tmp_path):
    [root] = dom(report(open_corpus(str(hostile))), tmp_path).all("html")
    assert root["data-cards"] == "3"
    assert "data-owned" not in root


def test_in_a_browser_the_policy_stops_what_escaping_let_through(corpus, tmp_path):
    page = report(open_corpus(str(corpus)))
    broken = page.replace("<body>", f"<body>{RUN}<img src=x onerror='{RUN[8:-9]}'>")
    assert broken != page
    [root] = dom(broken, tmp_path).all("html")
    assert root["data-cards"] == "3"
    assert "data-owned" not in root
    # The same page without a policy is owned, so that the test above can fail.
    loose = re.sub(r"<meta http-equiv=[^>]*>", "", broken)
    (tmp_path / "loose").mkdir()
    [root] = dom(loose, tmp_path / "loose").all("html")
    assert "data-owned" in root


def test_in_a_browser_searching_and_stepping(corpus, tmp_path):
    # A script of the test's own needs a page without the policy.
    drive = """<script>
    var box = document.getElementById("search"), root = document.documentElement;
    function press(key) {
      document.dispatchEvent(new KeyboardEvent("keydown", { key: key, bubbles: true }));
      return document.activeElement.id;
    }
    function type(text) { box.value = text; box.dispatchEvent(new Event("input")); }
    type("Nothing MATCHED");
    root.dataset.shown = document.getElementById("shown").textContent;
    root.dataset.only = document.querySelector(".card:not([hidden])").id;
    type("no such words");
    root.dataset.none = document.getElementById("none").hidden;
    type("");
    root.dataset.path = [press("j"), press("j"), press("k"), press("/")].join(" ");
    </script></body>"""
    page = re.sub(r"<meta http-equiv=[^>]*>", "", report(open_corpus(str(corpus))))
    [root] = dom(page.replace("</body>", drive), tmp_path).all("html")
    assert (root["data-shown"], root["data-only"]) == ("1", f"{2:032x}")
    assert root["data-none"] == "false"
    assert root["data-path"] == f"{1:032x} {2:032x} {1:032x} search"
