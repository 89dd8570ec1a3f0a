"""The report in headless Chromium, driven by Playwright; skipped where one of them is absent."""

import copy
import io
import re
import shutil

import pytest
from PIL import Image

from pipeline.corpus import open_corpus
from pipeline.view import report
from tests.pipeline.test_view import RUN, make_hostile

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
SENTENCES = ("A red square is here.", "It is red.", "Then a blue one.")


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium on PATH: what the report's script does is not tested")
    reason = "no playwright: what the report's script does is not tested"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page; whatever it logs, throws or asks for is an error at the end."""
    contexts, heard = [], []

    def open_page(source, quiet=True, **options):
        path = tmp_path / f"page-{len(contexts)}.html"
        path.write_text(source, "utf-8")
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        if quiet:
            page.on("console", lambda message: heard.append(message.text))
            page.on("pageerror", lambda error: heard.append(str(error)))
            page.on("request", lambda request: heard.append(request.url[:100])
                    if request.url[:5] not in ("file:", "data:") else None)  # fmt: skip
        page.goto(path.as_uri())
        page.locator("html[data-ready]").wait_for(state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert heard == []


def many(draft, number):
    """The draft with its documents repeated under distinct ids; every tenth is German."""
    rows = [
        copy.deepcopy(draft.documents[i % 3])
        | {"doc_id": f"{i + 1:032x}", "title": f"Number {i + 1}",
           "url": f"https://{'ab'[i % 2]}.example/{i + 1}", "language": "en" if i % 10 else "de"}
        for i in range(number)
    ]  # fmt: skip
    draft.documents = rows
    return draft


def source_of(*folders, **options):
    return report([open_corpus(str(folder)) for folder in folders], **options)


@pytest.fixture
def thirty(tmp_path, draft):
    many(draft, 30).write(tmp_path / "thirty")
    return source_of(tmp_path / "thirty")


def ids(page):
    return [int(name, 16) for name in page.eval_on_selector_all(".card", "c => c.map(x => x.id)")]


def focused(page):
    return page.evaluate("document.activeElement.id")


def test_a_document_is_drawn_in_reading_order(opened, corpus):
    page = opened(source_of(corpus))
    text = " ".join(page.locator(".card").first.text_content().split())
    in_order = [
        "Two pictures", "https://a.example/one", "en 0.88", "A red square is here.1 0.75",
        "It is red.", "8 × 6", "Fig. 1", "a red square", "0.75 “A red square is here.”",
        "https://a.example/red.png", "Then a blue one.2 0.50", "Scores and provenance",
        "word count", "a.warc.gz at 100, 99 bytes",
    ]  # fmt: skip
    places = [text.find(part) for part in in_order]
    assert -1 not in places
    assert places == sorted(places)
    mark = page.locator("mark").first
    assert mark.text_content() == "A red square is here."
    # Sentence, chip and picture are of one colour.
    assert "h1" in mark.get_attribute("class")
    assert "h1" in page.locator(".picture").first.get_attribute("class")
    assert page.locator(".card").nth(1).locator(".alt").last.text_content() == "no sentence matched"
    drawn = """all => Promise.all(all.map(async i => {
        i.loading = "eager"; await i.decode(); return i.naturalWidth }))"""
    assert page.eval_on_selector_all(".card img", drawn) == [8, 8, 8, 8]


def test_pages_are_turned(opened, thirty):
    page = opened(thirty)
    assert page.locator("#shown").text_content() == "30"
    assert page.locator(".at").first.text_content() == "page 1 of 3"
    # The order is by number of images; the first document of the draft has two.
    assert ids(page) == list(range(1, 31, 3))
    page.locator("[data-turn='1']").first.click()
    assert ids(page) == sorted(i for i in range(1, 31) if i % 3 != 1)[:10]
    page.keyboard.press("n")
    assert page.locator(".at").first.text_content() == "page 3 of 3"
    assert page.locator("[data-turn='1']").first.is_disabled()
    page.keyboard.press("p")
    page.keyboard.press("p")
    assert ids(page)[0] == 1
    page.select_option("[name=order]", "id", force=True)
    assert ids(page) == list(range(1, 11))


def test_keys_step_from_document_to_document(opened, thirty):
    page = opened(thirty)
    path = []
    for key in ("j", "j", "k", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
        path.append(int(focused(page), 16))
    assert path == [1, 4, 1, 4, 1]
    for _ in range(10):
        page.keyboard.press("j")
    assert page.locator(".at").first.text_content() == "page 2 of 3"
    assert int(focused(page), 16) == 2
    page.keyboard.press("k")
    assert int(focused(page), 16) == 28
    page.keyboard.press("/")
    assert focused(page) == "search"
    page.keyboard.type("number 17?")
    assert page.locator(".card").count() == 0
    assert page.locator("#none").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#shown").text_content() == "30"
    assert focused(page) != "search"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_filters(opened, thirty):
    page = opened(thirty)

    def shown(**fields):
        page.keyboard.press("Escape")
        page.evaluate("document.querySelector('#find details').open = true")
        for name, value in fields.items():
            field = page.locator(f"[name={name}]")
            if field.evaluate("f => f.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        page.evaluate("document.activeElement.blur()")
        return int(page.locator("#shown").text_content())

    assert shown() == 30
    assert shown(search="BLUE one.") == 10
    assert shown(search="number 29") == 1
    assert shown(host="a.example") == 15
    assert shown(language="de") == 3
    assert shown(host="a.example", language="de") == 3
    assert shown(min_images="2") == 10
    assert shown(max_images="1") == 20
    assert shown(min_similarity="0.6") == 10
    assert shown(max_similarity="0.6") == 10  # what has no match has no similarity
    page.locator("[data-does=Escape]").click()
    assert page.locator("#shown").text_content() == "30"


def test_blurred_pictures_are_shown_on_a_click_or_a_key(opened, tmp_path, draft):
    for row in draft.images:
        row["flags"] = ["faces"]
    draft.write(tmp_path / "corpus")
    page = opened(source_of(tmp_path / "corpus"))

    def blurred():
        how = "all => all.map(i => getComputedStyle(i).filter.includes('blur'))"
        return page.eval_on_selector_all(".veil img", how)

    assert blurred() == [True] * 4
    page.locator(".veil").first.click()
    assert blurred() == [False, True, True, True]
    page.locator(".veil").nth(1).press("Enter")
    assert blurred() == [False, False, True, True]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    assert blurred() == [False] * 4
    page.keyboard.press("b")
    assert blurred() == [True] * 4


def test_a_link_leads_to_a_document_on_another_page(opened, thirty):
    page = opened(thirty)
    page.evaluate(f"location.hash = '{30:032x}'")
    page.locator(f"[id='{30:032x}']:focus").wait_for()
    page.locator(".card:focus .chip[href]").first.click()
    assert page.evaluate("document.querySelector(':target').className").startswith("picture")


def test_two_corpora(opened, tmp_path, draft):
    draft.write(tmp_path / "before")
    after = copy.deepcopy(draft)
    after.documents[2]["title"] = "Changed"
    del after.documents[1]
    after.write(tmp_path / "after")
    page = opened(source_of(tmp_path / "before", tmp_path / "after"))
    fates = page.eval_on_selector_all(".fate", "all => all.map(f => f.textContent)")
    assert fates == ["only in A not in B, not read", "changed differs in metadata", "same"]
    assert page.locator(".card.pair .letter").all_text_contents() == ["A", "B"]
    page.evaluate("document.querySelector('#find details').open = true")
    page.select_option("[name=status]", "changed")
    assert ids(page) == [3]


@pytest.mark.parametrize(("width", "colours"), [(320, "light"), (390, "dark"), (1280, "light")])
def test_nothing_stands_out_at_the_side(opened, tmp_path, draft, width, colours):
    make_hostile(draft)
    draft.documents[1]["texts"][1] = "long" * 200
    for number in (1, 2):
        draft.write(tmp_path / str(number))
    folders = [tmp_path / "1", tmp_path / "2"]
    size = {"width": width, "height": 800}
    for source in (source_of(folders[0]), source_of(*folders)):
        page = opened(source, viewport=size, color_scheme=colours)
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper, ink = (page.evaluate(f"getComputedStyle(document.body).{name}")
                      for name in ("backgroundColor", "color"))  # fmt: skip
        dark, bright = (paper, ink) if colours == "dark" else (ink, paper)
        assert sum(map(int, re.findall(r"\d+", dark))) < 200
        assert sum(map(int, re.findall(r"\d+", bright))) > 600


# --- hostile content --------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path, draft):
    make_hostile(draft)
    draft.write(tmp_path / "hostile")
    return source_of(tmp_path / "hostile")


def owned(page):
    return page.evaluate("document.documentElement.dataset.owned")


def test_nothing_of_the_web_runs(opened, hostile):
    page = opened(hostile)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.locator(".card").count() == 3
    assert RUN in page.locator(".card h3").first.text_content()
    assert owned(page) is None
    assert page.locator("img[src=x]").count() == 0


def test_the_policy_stops_what_escaping_let_through(opened, hostile):
    broken = hostile.replace("<body>", f"<body>{RUN}<img src=x onerror='{RUN[8:-9]}'>")
    assert broken != hostile
    page = opened(broken, quiet=False)
    assert owned(page) is None
    # The same page without a policy is owned, so that the test above can fail.
    assert owned(opened(re.sub(r"<meta http-equiv=[^>]*>", "", broken), quiet=False)) == "1"


def test_a_large_corpus(opened, tmp_path, draft):
    """Size and time are measured by scripts/bench/view.py; here, what they rest on."""
    buffer = io.BytesIO()
    Image.effect_noise((640, 480), 80).convert("RGB").save(buffer, "jpeg")
    for row in draft.images:
        row["bytes"] = buffer.getvalue()
    many(draft, 90).write(tmp_path / "large")
    source = source_of(tmp_path / "large", documents=90)
    page = opened(source)
    assert page.locator("#shown").text_content() == "90"
    assert page.locator(".card").count() == 10  # of which only these are drawn
    assert len(source) < 400_000
