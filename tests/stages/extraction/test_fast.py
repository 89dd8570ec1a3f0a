"""What only the fast engine does; test_extract.py asks both engines the rest."""

import pytest

from schemas.document import Image, Role, Text
from scripts.bench.extraction import ImageScores, joined, load, match_images, text_scores
from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import extract
from stages.extraction.judge import Reason

FAST = ExtractionConfig(engine="fast")
URL = "https://www.example.org/a/page.html"
ONE = "The first paragraph tells at some length what the picture below it is about. " * 4
TWO = "The second paragraph goes on with the story and says what came of it all then. " * 4


def run(middle, before="", after=""):
    html = (
        f"<html><head><title>T</title></head><body>{before}<article><h1>A headline</h1><p>{ONE}</p>"
        f"{middle}<p>{TWO}</p></article>{after}</body></html>"
    )
    return extract(html, URL, config=FAST)


def images(found):
    return [node.url.rpartition("/")[2] for node in found.nodes if isinstance(node, Image)]


def test_characters_that_look_like_a_token_of_its_own_are_no_token():
    found = run("<p>before \x02i0\x03 after</p><img src=x.jpg>")
    assert images(found) == ["x.jpg"]
    assert "before i0 after" in found.nodes[2].text


def test_tokens_in_character_references_show_no_image_twice():
    found = run("<p>&#2;i0&#3; &#2;i9&#3; &#2;e1&#3; &#2;q0&#3;</p><img src=x.jpg>")
    assert images(found) == ["x.jpg"]


def test_upper_case_tags():
    found = run(
        "<SCRIPT>document.write('<p>not text</p><img src=no.jpg>')</SCRIPT><IMG SRC='x.jpg'>"
    )
    assert images(found) == ["x.jpg"]
    assert "not text" not in " ".join(n.text for n in found.nodes if isinstance(n, Text))


@pytest.mark.parametrize("tag", ["nav", "aside", "svg", "noscript", "header", "select", "main"])
def test_an_element_that_is_not_closed_does_not_take_the_article_with_it(tag):
    found = run(f"<img src=x.jpg><{tag}>")
    assert images(found) == ["x.jpg"]


def test_a_script_that_is_not_closed_inside_an_element_that_is_not_closed():
    found = run("<img src=x.jpg>", after="<nav><svg><script>var x = 1;")
    assert images(found) == ["x.jpg"]


def test_mixed_case():
    found = run(
        "<script>'no'</SCRIPT><img src=x.jpg><script>'no'</script>", after="<nav><IMG></nav>"
    )
    assert images(found) == ["x.jpg"]
    assert len(found.dropped) == 1


def test_metadata_and_linked_data_without_a_tree():
    head = (
        '<title>A &amp; B</title><meta property="og:site_name" content="Site">'
        '<meta content=Me name=author><base href="/b/"><link rel=canonical href=c.html>'
        '<script type="application/ld+json">'
        '{"@type": "Article", "datePublished": "2020-01-02"}</script></head>'
    )
    html = f"<html lang=fr>{head}<body><p>{ONE}</p><footer><a rel=license href=l></a></footer>"
    metadata = extract(html, URL, config=FAST).metadata
    assert (metadata.title, metadata.site, metadata.author) == ("A & B", "Site", "Me")
    assert (metadata.date, metadata.language) == ("2020-01-02", "fr")
    assert metadata.canonical_url == "https://www.example.org/b/c.html"
    assert metadata.licence == "https://www.example.org/b/l"


def test_quotes_inside_a_tag():
    found = run("""<img alt='5 > 4 "x"' src=x.jpg><img alt="it's" src='y.jpg'>""")
    assert [(n.alt, n.url[-5:]) for n in found.nodes if isinstance(n, Image)] == [
        ('5 > 4 "x"', "x.jpg"),
        ("it's", "y.jpg"),
    ]


def test_the_main_element_with_the_headline_is_all_that_is_looked_at():
    html = (
        f"<body><img src=a.jpg><p>{ONE * 3}</p><main><h1>H</h1><p>{TWO}</p><img src=b.jpg></main>"
        f"<p>{ONE * 3}</p></body>"
    )
    found = extract(html, URL, config=FAST)
    assert images(found) == ["b.jpg"]
    assert [(d.image.url[-5:], d.reason) for d in found.dropped] == [
        ("a.jpg", Reason.OUTSIDE_MAIN_CONTENT)
    ]
    assert [n.text for n in found.nodes if isinstance(n, Text)] == ["H", TWO.strip()]


def test_labels_before_the_headline_and_headings_at_the_end_go():
    found = run("<h2>Sub</h2>", before="<p>Breaking news</p>", after="<h3>Follow us</h3>")
    assert [node.role for node in found.nodes if isinstance(node, Text)] == [
        Role.HEADING,
        Role.PARAGRAPH,
        Role.HEADING,
        "paragraph",
    ]


def texts(found):
    return [node.text for node in found.nodes if isinstance(node, Text)]


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_a_list_of_links_in_any_case_is_no_content(case):
    items = "".join(f"<li><a href=/{i}>Another story {i}</a></li>" for i in range(9))
    found = run("", after=case(f"<div><ul>{items}</ul></div>"))
    assert len(texts(found)) == 3


def test_the_chunks_of_an_article_are_taken_together():
    chunk = '<div class="story-text"><p>{}</p></div>'
    html = f"<body><div>{chunk.format(ONE)}<div><p>Advert</p></div>{chunk.format(TWO)}</div></body>"
    assert texts(extract(html, URL, config=FAST)) == [ONE.strip(), TWO.strip()]


@pytest.mark.parametrize(
    "names", ["class='tag-cats author-jane'", "id=sharing-with-others", "class='post-meta'"]
)
def test_names_of_small_furniture_say_nothing_of_what_holds_prose(names):
    assert ONE.strip() in texts(run(f"<div {names}><p>{ONE}</p></div>"))
    assert "By Jane" not in texts(run(f"<div {names}><p>By Jane</p></div>"))


def test_comments_are_no_content_though_they_are_longer_than_the_text():
    comment = "A reader says that all of it is wrong, and says so at great length and loudly. "
    comments = "".join(f"<div><p>{comment * 4}{i}</p></div>" for i in range(9))
    found = run("", after=f"<div id=comments>{comments}</div>")
    assert len(texts(found)) == 3


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<p>a < b and c <3 d</p>", ["a < b and c <3 d"]),
        ("<ul><li>one<li>two</ul>", ["one", "two"]),
        ("<table><tr><td>k<td>1<tr><td>l<td>2</table>", ["k | 1", "l | 2"]),
        ("<table><tr><td><table><tr><td>k<td>1</table></td></tr></table>", ["k | 1"]),
        ("<p>one<br>two<br> <br>three</p>", ["one\ntwo", "three"]),
        ("<p>one <b>two</i> three</p>", ["one two three"]),
        ("<div><section><p>one</div><p>two", ["one", "two"]),
        ("<p title='a > b'>one</p><p title=\"it's\">two</p>", ["one", "two"]),
        ("<?xml:namespace prefix = o /><p>one</p>", ["one"]),
    ],
)
def test_tags_as_they_are_written(html, found):
    assert texts(run(html))[2:-1] == found


def test_text_of_news_pages(shared_data):
    pages = shared_data / "pages"
    samples = load([pages / "scrapinghub.warc.gz"], pages / "scrapinghub.gold.jsonl")
    pairs = []
    for sample in samples:
        found = extract(sample.body, sample.url, content_type=sample.content_type, config=FAST)
        pairs.append((sample.gold["article_body"], joined(found)))
    f1, _, recall = text_scores(pairs)
    assert f1 >= 0.96
    assert recall >= 0.98


def test_images_of_readability_pages(shared_data):
    pages = shared_data / "pages"
    scores = ImageScores()
    for sample in load([pages / "readability.warc.gz"], pages / "readability.gold.jsonl"):
        gold = [
            ("image", item["src"]) if item["type"] == "image" else ("text", item["text"])
            for item in sample.gold["sequence"]
            if item["type"] == "text" or item["src"].startswith(("http://", "https://"))
        ]
        found = extract(sample.body, "http://fakehost/test/page.html", config=FAST)
        match_images(found, gold, scores)
    assert scores.agree / scores.gold >= 0.9
    assert scores.agree / scores.found >= 0.83
    assert scores.ordered / scores.agree >= 0.99
