import pytest

from schemas.document import Image, Role, Text
from stages.extraction.content import Content
from stages.extraction.extract import extract, most_attributes, parse
from stages.extraction.walk import FURNITURE_TAGS, walk

PROSE = "One sentence of prose follows another one here, and says a little more than it. "
LONG = PROSE * 4
LINKS = " ".join(f'<a href="/{i}">Story {i}</a>' for i in range(9))


def texts(body, head=""):
    found = extract(f"<html><head>{head}</head><body>{body}</body></html>", "https://x.example/")
    return [node.text for node in found.nodes if isinstance(node, Text)]


def content(body):
    found = walk(parse(f"<html><body>{body}</body></html>"), 10_000, 250)
    return Content(found), found


def test_the_container_is_chosen_by_its_name():
    body = f'<div><p>{PROSE}</p></div><div class="entry-content"><p>{LONG}</p><p>{LONG}</p></div>'
    assert texts(body) == [LONG.strip()] * 2


def test_a_teaser_of_the_same_name_before_the_article_is_not_taken():
    body = f"<article><p>{LONG}</p></article><article>{f'<p>{LONG}</p>' * 9}</article>"
    assert texts(body) == [LONG.strip()] * 9


@pytest.mark.parametrize(
    "furniture",
    [
        f"<nav>{LONG}</nav>",
        f"<aside><p>{LONG}</p></aside>",
        f"<footer><p>{LONG}</p></footer>",
        f"<form><p>{LONG}</p></form>",
        f'<div class="newsletter"><p>{PROSE}</p></div>',
        f'<div class="related-stories"><p>{PROSE}</p></div>',
        f'<div id="comments"><p>{LONG}</p></div>',
        f'<p style="display:none">{PROSE}</p>',
        f"<ul><li>{LINKS}</li></ul>",
        f"<div>{LINKS}</div>",
        "<h3>More of the same</h3>",  # nothing stands below it
    ],
)
def test_furniture_in_the_container_is_cut(furniture):
    body = f"<article><p>{LONG}</p><p>{LONG}</p>{furniture}</article>"
    assert texts(body) == [LONG.strip()] * 2


@pytest.mark.parametrize(
    ("html", "role"),
    [
        (f"<blockquote><div>{PROSE}</div></blockquote>", Role.QUOTE),
        (f"<ul><li><div>{PROSE}</div></li></ul>", Role.LIST_ITEM),
        (f"<table><tr><td><div>{PROSE}</div></td></tr></table>", Role.PARAGRAPH),
        (f"<figure><table><tr><td>a</td><td>{PROSE}</td></tr></table></figure>", Role.TABLE_ROW),
        (f"<figure><blockquote>{PROSE}</blockquote></figure>", Role.QUOTE),
        (f"<p>on <time>May 5</time> it was: {PROSE}</p>", Role.PARAGRAPH),
        (f"<h2>{PROSE}</h2><p>And so on.</p>", Role.HEADING),
        (
            f'<h2 class="x">{PROSE}<a href="/t">tag</a> <a href="/u">tog</a></h2><p>.</p>',
            Role.HEADING,
        ),
        (f"{PROSE}{PROSE}<p>after loose prose.</p>", Role.PARAGRAPH),
    ],
)
def test_text_that_trafilatura_loses_is_kept(html, role):
    middle = f"<p>{LONG * 3}</p><div>{html}</div><p>{LONG}</p>"
    found = extract(f"<html><body><article>{middle}</article></body></html>", "https://x.example/")
    assert [node.role for node in found.nodes if PROSE.strip() in node.text][1:-1] == [role]


def test_without_a_named_container_headings_and_lists_stay_with_the_prose():
    body = (
        f"<div><h1>Title</h1><p>{LONG}</p><ul><li>One thing</li><li>Another</li></ul>"
        f"<h2>More</h2><p>{LONG}</p></div><div><a href='/'>Home</a> {LINKS}</div>"
    )
    assert texts(body) == ["Title", LONG.strip(), "One thing", "Another", "More", LONG.strip()]


def test_comments_of_a_forum_are_its_content():
    posts = "".join(f'<div class="comment"><p>{LONG}</p></div>' for _ in range(3))
    body = f"<main><h1>A question</h1>{posts}</main>"
    data = '<script type="application/ld+json">{"@type": "DiscussionForumPosting"}</script>'
    assert texts(body, data) == ["A question", *[LONG.strip()] * 3]


def test_too_little_text_is_not_complete():
    short, _ = content(f"<article><p>{PROSE}</p></article>")
    assert (short.kept, short.complete) == (set(), False)
    long, _ = content(f"<article><p>{LONG}</p><p>{LONG}</p></article>")
    assert (long.kept, long.complete) == ({0, 1}, True)
    little, _ = content(f"<article><p>{LONG}</p><p>a</p></article><div>{LONG * 9}</div>")
    assert (little.kept, little.complete) == ({0, 1}, False)


@pytest.mark.parametrize("tag", sorted(FURNITURE_TAGS))
def test_furniture_is_measured_and_its_images_are_taken(tag):
    _, found = content(f"<p>a</p><{tag}><p>b c</p> d<img src=/x.jpg></{tag}><p>e</p>")
    assert (found.runs, found.sizes) == (["a", "", "e"], [1, 5, 1])
    assert [(image.position, image.hidden) for image in found.images] == [(1, tag)]


def test_attributes_are_counted_only_in_very_long_tags():
    long = "<p " + " ".join(f'a{i}="1 2"' for i in range(3_000)) + ">x</p>"
    assert most_attributes(b"<p a=1 b=2>x</p>" * 9_000) == 0
    assert most_attributes(f"<p>{LONG}</p>{long}".encode()) == 3_000
    assert most_attributes(b"<script>" + b"a = 1 ; " * 9_000 + b"</script>") == 0
    assert most_attributes(b"<img src='" + b"A" * 90_000 + b"'>") == 1


def test_a_tag_of_too_many_attributes_is_refused_before_it_is_parsed():
    found = extract("<p " + " ".join(f"a{i}" for i in range(50_000)) + ">x", "https://x.example/")
    assert (found.refused, found.nodes) == ("too_many_attributes", ())


def test_many_captions_in_one_figure_go_to_its_first_image():
    images = "".join(f'<img src="/{i}.jpg">' for i in range(3))
    captions = '<span class="caption">One.</span><span class="caption">Two.</span>'
    body = f"<article><p>{LONG}</p><figure>{images}{captions}</figure><p>{LONG}</p></article>"
    found = extract(f"<html><body>{body}</body></html>", "https://x.example/")
    assert [n.caption for n in found.nodes if isinstance(n, Image)] == ["One.", "", ""]
