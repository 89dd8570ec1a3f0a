import sys

import pytest

from schemas.document import Image, Role, Text
from scripts.bench.extraction import load
from stages.extraction.config import ExtractionConfig
from stages.extraction.extract import extract, parse
from stages.extraction.judge import Reason

CONFIG = ExtractionConfig()
URL = "https://www.example.org/a/page.html"
# Two paragraphs of prose, so that trafilatura sees an article whatever stands between them.
ONE = "The first paragraph tells at some length what the picture below it is about. " * 4
TWO = "The second paragraph goes on with the story and says what came of it all then. " * 4
FIRST, SECOND = Text(ONE.strip()), Text(TWO.strip())


def page(middle, head="", before="", after=""):
    return (
        f"<!DOCTYPE html><html><head><title>T</title>{head}</head><body>{before}"
        f"<article><h1>A headline of the page</h1><p>{ONE}</p>{middle}<p>{TWO}</p></article>"
        f"{after}</body></html>"
    )


@pytest.fixture(autouse=True, params=["accurate", "fast"])
def engine(request, monkeypatch):
    """Every test of this file asks both engines."""
    monkeypatch.setattr(sys.modules[__name__], "CONFIG", ExtractionConfig(engine=request.param))
    return request.param


def run(html, **options):
    return extract(html, URL, **{"config": CONFIG, **options})


def middle_of(found):
    """The nodes between the two paragraphs."""
    nodes = list(found.nodes)
    assert FIRST in nodes
    assert SECOND in nodes
    return nodes[nodes.index(FIRST) + 1 : nodes.index(SECOND)]


def image_of(html, **parts):
    (image,) = middle_of(run(page(html, **parts)))
    assert isinstance(image, Image)
    return image


def reasons(found):
    return [(dropped.image.url, dropped.reason) for dropped in found.dropped]


def test_an_image_stands_between_the_texts_around_it():
    found = run(page('<img src="x.jpg" alt=" a  b " title="t" width="300" height="200px">'))
    image = Image("https://www.example.org/a/x.jpg", alt="a b", title="t", width=300, height=200)
    assert found.nodes == (Text("A headline of the page", Role.HEADING), FIRST, image, SECOND)
    assert found.dropped == ()


@pytest.mark.parametrize(
    ("html", "url", "candidates"),
    [
        ('<img src="/x.jpg">', "/x.jpg", ()),
        ('<img src="//www.example.org/x.jpg">', "/x.jpg", ()),
        ('<img srcset="/s.jpg 400w, /l.jpg 800w" src="/m.jpg">', "/l.jpg", ("/s.jpg", "/m.jpg")),
        (
            '<img srcset="/w_1,h_2/s.jpg 1x, /w_2,h_4/s.jpg 2x">',
            "/w_2,h_4/s.jpg",
            ("/w_1,h_2/s.jpg",),
        ),
        ('<img src="data:image/gif;base64,R0lGOD" data-src="/x.jpg">', "/x.jpg", ()),
        ('<img src="/blank.gif" data-original="/x.jpg">', "/x.jpg", ()),
        ('<img src="/img/placeholder.png" data-lazy-src="/x">', "/x", ()),
        ('<img src="/low.jpg" data-src="/x.jpg">', "/x.jpg", ("/low.jpg",)),
        ('<img data-srcset="/s.jpg 400w, /l.jpg 800w">', "/l.jpg", ("/s.jpg",)),
        ('<img data-src="/s.jpg 400w, /l.jpg 800w">', "/l.jpg", ("/s.jpg",)),
        (
            '<img src="/1x.jpg" data-src="/{width}x.jpg" data-widths="[180, 900, 1080]">',
            "/1080x.jpg",
            ("/900x.jpg", "/180x.jpg", "/1x.jpg"),
        ),
        ('<img src="/{width}x.jpg">', "/1600x.jpg", ()),
        ('<img data-some-loader="/x.webp">', "/x.webp", ()),
        ('<img src="/no-extension?id=7">', "/no-extension?id=7", ()),
        ('<amp-img src="/x.jpg" width="300" height="200"></amp-img>', "/x.jpg", ()),
        (
            '<picture><source srcset="/x.webp"><img src="/x.jpg"></picture>',
            "/x.jpg",
            ("/x.webp",),
        ),
        (
            '<picture><source srcset="/a.webp 1x"><source srcset="/b.webp 1x">'
            '<img src="data:image/gif;base64,R0"></picture>',
            "/a.webp",
            ("/b.webp",),
        ),
        ('<picture><source srcset="/x.webp"></picture>', "/x.webp", ()),
        ('<p><span><em><img src="/x.jpg"></em></span></p>', "/x.jpg", ()),
        ('<h2><img src="/x.jpg"></h2>', "/x.jpg", ()),
        ('<table><tr><td><img src="/x.jpg"></td></tr></table>', "/x.jpg", ()),
        ('<ul><li><img src="/x.jpg"></li></ul>', "/x.jpg", ()),
        ('<noscript><img src="/x.jpg"></noscript>', "/x.jpg", ()),
    ],
)
def test_where_the_url_of_an_image_is_found(html, url, candidates):
    image = image_of(html)
    origin = "https://www.example.org"
    assert (image.url, image.candidates) == (origin + url, tuple(origin + c for c in candidates))


def test_text_after_an_unclosed_source_element_is_kept():
    # libxml2 nests what follows into `source`; deleting that element would delete the image.
    html = '<picture><source srcset="/x.webp"><img src="/x.jpg"> and words after it</picture>'
    found = run(page(f"<div>{html}</div>"))
    assert [n.url for n in found.nodes if isinstance(n, Image)] == ["https://www.example.org/x.jpg"]


def test_base_element():
    image = image_of('<img src="x.jpg">', head='<base href="/other/place/">')
    assert image.url == "https://www.example.org/other/place/x.jpg"


def test_the_noscript_copy_fills_in_the_lazy_image_and_is_accounted_for():
    lazy = '<img src="data:image/gif;base64,R0"><noscript><img src="/x.jpg"></noscript>'
    found = run(page(f"<figure>{lazy}</figure>"))
    (image,) = middle_of(found)
    assert image.url == "https://www.example.org/x.jpg"
    assert reasons(found) == [("https://www.example.org/x.jpg", Reason.DUPLICATE)]


@pytest.mark.parametrize("tag", ["article", "main", "section", "my-app"])
def test_a_page_that_leaves_out_head_and_body(tag):
    head = "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>T</title>"
    found = run(f"{head}<{tag}><h1>H</h1><p>{ONE}<p><img src=/x.jpg><p>{TWO}</{tag}>")
    first, image, second = found.nodes[-3:]
    assert (first, second) == (FIRST, SECOND)
    assert image.url == "https://www.example.org/x.jpg"


def test_an_image_that_links_to_its_larger_self_is_kept():
    image = image_of('<div class="separator"><a href="/l/x.jpg"><img src="/s/x.jpg"></a></div>')
    found = (image.url, image.link)
    assert found == ("https://www.example.org/s/x.jpg", "https://www.example.org/l/x.jpg")


@pytest.mark.parametrize(
    ("value", "url"),
    [
        (
            '{"default":{"load":"defer","w":27,"src":"//cdn.org/1.img?h=1"}}',
            "https://cdn.org/1.img?h=1",
        ),
        ('{"default":"//cdn.org/1.img","wide":"//cdn.org/2.img"}', "https://cdn.org/1.img"),
        ('{"default": broken}', "https://www.example.org/grey.gif"),
        ("[" * 3000, "https://www.example.org/grey.gif"),
    ],
)
def test_the_url_in_a_lazy_attribute_of_json(value: str, url: str):
    image = image_of(f"<figure><img data-src='{value}' src='/grey.gif'></figure>")
    assert image.url == url


def test_figure_caption_link_and_style_size():
    image = image_of(
        '<figure style="width:50%"><a href="/large.png"><img src="/x.png" '
        'style="width: 640px; height:480px"></a><figcaption>What <b>it</b>\n shows.</figcaption>'
        "</figure>"
    )
    assert image.caption == "What it shows."
    assert image.link == "https://www.example.org/large.png"
    assert (image.width, image.height) == (640, 480)


def test_a_caption_by_class_leaves_the_text():
    image = image_of('<div><img src="/x.jpg"><p class="wp-caption-text">What it shows.</p></div>')
    assert image.caption == "What it shows."


def test_the_caption_of_a_dropped_image_is_no_caption_of_another():
    found = run(
        page(
            '<figure><img src="/logo.svg"><figcaption>One.</figcaption></figure>'
            '<figure><img src="/x.jpg"><figcaption>Two.</figcaption></figure>'
        )
    )
    (image,) = [node for node in found.nodes if isinstance(node, Image)]
    assert image.caption == "Two."


def test_an_inline_image_splits_its_paragraph():
    found = run(page(f'<p>Before it. {ONE}<img src="/x.jpg"> after it.</p>'))
    texts = [getattr(node, "text", "IMAGE") for node in middle_of(found)]
    assert texts == ["Before it. " + ONE.strip(), "IMAGE", "after it."]


def test_a_dropped_inline_image_splits_nothing():
    found = run(page('<p>A smile <img src="/e.png" width="16" height="16">in the line.</p>'))
    assert middle_of(found) == [Text("A smile in the line.")]
    assert reasons(found) == [("https://www.example.org/e.png", Reason.ICON)]


@pytest.mark.parametrize(
    ("html", "nodes"),
    [
        ("<p>one<br>two<BR/>three</p>", [Text("one\ntwo\nthree")]),
        ("<p>one<br><br>two</p>", [Text("one"), Text("two")]),
        ("<p>one <b>bold</b><i>er</i>  \n word&nbsp;s</p>", [Text("one bolder word s")]),
        ("<p><b>two</b> <i>words</i>\n<u>more</u></p>", [Text("two words more")]),
        ("<p>soft&shy;hyphen</p>", [Text("softhyphen")]),
        ("<p>cafe\u0301</p>", [Text("caf\u00e9")]),
        ("<h2>Sub</h2>", [Text("Sub", Role.HEADING)]),
        (
            "<ul><li>a</li><li>b<ul><li>c</li></ul></li></ul>",
            [Text(t, Role.LIST_ITEM) for t in "abc"],
        ),
        ("<blockquote><p>said</p></blockquote>", [Text("said", Role.QUOTE)]),
        (
            "<pre><code>if x:\n    y = {1}\n</code></pre>",
            [Text("if x:\n    y = {1}", Role.CODE)],
        ),
        (
            "<pre><span>a</span>\n  <span>b = {</span></pre>",
            [Text("a\n  b = {", Role.CODE)],
        ),
        (
            "<table><tr><th>k</th><th>v</th></tr><tr><td><b>a</b> <i>b</i></td><td>1"
            "<br>2</td></tr></table>",
            [Text("k | v", Role.TABLE_ROW), Text("a b | 1 2", Role.TABLE_ROW)],
        ),
        ("<p>on <time>May 5</time> it was</p>", [Text("on May 5 it was")]),
        (
            '<p>so <math alttext="x^2"><mi>x</mi><mn>2</mn></math> holds</p>',
            [Text("so \\(x^2\\) holds")],
        ),
        ("<!-- a comment --><p>a<!-- b -->c</p>", [Text("ac")]),
        ("<script>var x = 1;</script><style>p {}</style>", []),
    ],
)
def test_text_blocks_and_their_roles(html, nodes):
    assert middle_of(run(page(html))) == nodes


def assert_left_out(found, reason):
    (dropped,) = found.dropped
    assert dropped.reason == reason


FURNITURE = [
    (
        '<header><a href="/"><img src="/s.jpg"></a><nav><a href="/x">X</a></nav></header>',
        "boilerplate",
    ),
    ('<nav><img src="/s.jpg"> <a href="/x">X</a></nav>', "boilerplate"),
    ('<div class="sidebar"><img src="/s.jpg"><p>Sign in</p></div>', "boilerplate"),
    ('<div id="page-ads"><img src="/s.jpg"></div>', "ad"),
    ('<div role="complementary"><img src="/s.jpg"></div>', "boilerplate"),
    ('<div class="newsletter-signup"><img src="/s.jpg"></div>', "boilerplate"),
    ('<div style="display: none"><img src="/s.jpg"></div>', "boilerplate"),
    ('<img src="/site-logo.png">', "logo"),
    ('<img class="brandLogo" src="/s.jpg">', "logo"),
    ('<img src="/icons/x.png">', "icon"),
    ('<img src="/s.jpg" width="32" height="32">', "icon"),
    ('<img src="https://www.gravatar.com/avatar/0123" width="96">', "avatar"),
    ('<img src="https://t.example/p?id=1" width="1" height="1">', "tracking_pixel"),
    ('<img src="/track" width="0" height="0">', "tracking_pixel"),
    ('<img src="/x.svg">', "svg"),
    ('<img src="data:image/png;base64,iVBORw0KGgo=">', "data_uri"),
    ("<img alt='none'>", "no_url"),
    ('<img src="javascript:x()">', "no_url"),
]


@pytest.mark.parametrize(("html", "reason"), FURNITURE)
def test_furniture_before_the_article_is_left_out_with_its_reason(html, reason):
    found = run(page("", before=html))
    assert_left_out(found, reason)
    assert not [node for node in found.nodes if isinstance(node, Image)]


@pytest.mark.parametrize(
    ("html", "reason"),
    [
        ('<footer><p>All rights reserved <img src="/s.jpg"></p></footer>', "boilerplate"),
        (
            '<div class="related-posts"><a href="/y"><img src="/s.jpg"> Y</a></div>',
            "related",
        ),
        (
            '<section><div><a href="/y"><img src="/s.jpg"></a><h3><a href="/y">Another story</a>'
            "</h3></div></section>",
            "related",
        ),
        ('<div><p>Something else</p><img src="/s.jpg"></div>', "outside_main_content"),
        ('<div class="comments"><p>Nice!<img src="/s.jpg"></p></div>', "boilerplate"),
    ],
)
def test_furniture_after_the_article_is_left_out_with_its_reason(html, reason):
    found = run(page("", after=html))
    assert_left_out(found, reason)
    assert not [node for node in found.nodes if isinstance(node, Image)]


@pytest.mark.parametrize(
    "name",
    [
        "/catalogo/x.jpg",
        "/silicon.jpg",
        "/download/x.jpg",
        "/wp-content/plugins/x.jpg",
        "/why-the-logo-of-the-club-changed.jpg",
        "/29a0ad7.jpg",
    ],
)
def test_words_inside_words_say_nothing(name):
    assert image_of(f'<img src="{name}">').url == f"https://www.example.org{name}"


def test_a_large_picture_of_a_logo_is_content():
    assert image_of('<img src="/logo.png" width="600" height="400">').width == 600


def test_body_classes_do_not_make_the_whole_page_furniture():
    html = page('<img src="/x.jpg">').replace("<article>", '<article class="has-sidebar social">')
    found = run(html)
    assert [n.url for n in found.nodes if isinstance(n, Image)] == ["https://www.example.org/x.jpg"]


def test_the_lead_image_under_the_headline_outside_the_text_container():
    found = run(
        '<html><body><div class="top"><h1>The headline of it</h1><figure><img src="/lead.jpg">'
        f'</figure><p class="byline">By A. Writer</p></div><div class="article-body"><p>{ONE}</p>'
        f"<p>{TWO}</p></div></body></html>"
    )
    images = [n for n in found.nodes if isinstance(n, Image)]
    assert [i.url for i in images] == ["https://www.example.org/lead.jpg"]


def test_the_same_picture_is_shown_once():
    found = run(page(f'<img src="/x.jpg"><p>{ONE} more</p><img src="/x.jpg#2">'))
    assert len([n for n in found.nodes if isinstance(n, Image)]) == 1
    assert reasons(found) == [("https://www.example.org/x.jpg", Reason.DUPLICATE)]


def test_a_blurred_preview_before_the_picture():
    preview, picture = "/max/60/1*some-picture.png", "/max/800/1*some-picture.png"
    found = run(page(f'<figure><img src="{preview}"><img src="{picture}"></figure>'))
    (image,) = middle_of(found)
    origin = "https://www.example.org"
    assert (image.url, image.candidates) == (origin + picture, (origin + preview,))
    assert reasons(found) == [(origin + picture, Reason.DUPLICATE)]


def test_every_image_element_is_accounted_for(shared_data):
    pages = shared_data / "pages"
    checked = 0
    for sample in load([pages / "readability.warc.gz"], pages / "readability.gold.jsonl"):
        found = extract(sample.body, sample.url, content_type=sample.content_type)
        root = parse(sample.body.decode("utf-8", "replace"))
        elements = root.xpath(
            "//img | //image | //amp-img | //amp-anim | //input[@type='image']"
            " | //picture[not(.//img)]"
        )
        images = [node for node in found.nodes if isinstance(node, Image)]
        assert len(images) + len(found.dropped) == len(elements), sample.url
        assert len({dropped.place for dropped in found.dropped}) == len(found.dropped)
        checked += len(elements)
    assert checked > 1_000


def test_same_input_same_output():
    html = page("".join(f for f, _ in FURNITURE) + '<img src="/x.jpg">')
    assert run(html) == run(html) == run(html.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   \n ",
        b"<!-- only a comment -->",
        b"\x00\x01\x02",
        b"<!DOCTYPE html>",
        b"<html></html>",
        b"<<<>>><//><p<p",
        b"<img",
        b"%PDF-1.4 binary",
        "<p>\ud800</p>".encode("utf-8", "surrogatepass"),
        b"<html><body></body></html><p>",
        b'<a href="http://[x"><img src="http://[y"></a>',
        b"<table><td><tr><table></td></p><li>",
        b"<svg><image href='/x.png'/></svg>",
    ],
)
def test_odd_bodies_do_not_raise(body):
    found = extract(body, URL)
    assert not found.refused


def test_no_content_no_nodes():
    assert extract(b"", URL).nodes == ()


def test_a_page_in_another_encoding():
    russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 8
    html = f"<html><body><p>{russian}</p><img src='/я.jpg'><p>{russian}!</p></body></html>"
    found = extract(html.encode("windows-1251"), URL, content_type="text/html;charset=cp1251")
    assert found.nodes[0] == Text(russian.strip())
    assert found.nodes[1].url == "https://www.example.org/%D1%8F.jpg"


def test_marker_characters_of_the_page_itself_do_no_harm(engine):
    if engine == "fast":
        pytest.skip("these are markers of the accurate engine")
    found = run(page("<p>葛\U000e0100城市 and &#xE0101; more</p>"))
    assert middle_of(found) == [Text("葛城市 and more")]


def test_text_that_only_linked_data_holds(engine):
    if engine == "fast":
        pytest.skip("the fast engine reads text from the page alone")
    words = "This text is only in the data that the page embeds for search engines. " * 5
    html = (
        '<html><head><script type="application/ld+json">{"@type": "Article", "articleBody": "'
        f'{words}"}}</script></head><body><div id="app"></div><img src="/x.jpg"></body></html>'
    )
    found = run(html)
    assert [node.text for node in found.nodes] == [words.strip()]
    assert reasons(found) == [("https://www.example.org/x.jpg", Reason.OUTSIDE_MAIN_CONTENT)]


@pytest.mark.parametrize(
    ("html", "refused"),
    [
        ("<div>" * 100_000 + "x", "too_deep"),
        ("<b>" * 100_000 + "x", "too_deep"),
        ("<p>x" * 60_000, "too_many_elements"),
        ("x" * 11_000_000, "too_large"),
    ],
)
def test_hostile_pages_are_refused_before_the_costly_step(html, refused):
    found = run(html)
    assert (found.refused, found.nodes, found.dropped) == (refused, (), ())


def test_limits_come_from_the_config():
    config = ExtractionConfig(max_nodes=2)
    assert run(page(""), config=config).refused == "too_many_nodes"


def test_config_is_checked():
    with pytest.raises(ValueError, match="extraction: max_nodes is 0, less than 1"):
        ExtractionConfig(max_nodes=0)
    with pytest.raises(ValueError, match="extraction: no engine is called 'magic'"):
        ExtractionConfig(engine="magic")


@pytest.mark.parametrize("start", ["These", "<a href=#x>These</a>"])
@pytest.mark.parametrize("tag", ["center", "div", "p"])
def test_text_behind_a_block_in_running_text_is_kept(tag, start):
    html = (
        "<html><body><h1>Title</h1>"
        + "One sentence follows another one here. " * 8
        + f"<br><br><{tag}><img src=/a.jpg><br><small>By us</small></{tag}>"
        + f"{start} words stand loose in their <b>container</b>. "
        + "They are many and go on for quite some while. " * 5
        + "<br><br>"
        + "And these come after two line breaks. " * 8
        + "<br></body></html>"
    )
    texts = [node.text for node in run(html).nodes if isinstance(node, Text)]
    assert any(text.startswith("These words stand loose in their container.") for text in texts)


@pytest.mark.parametrize(
    "media",
    [
        "(max-width: 600px)",
        "screen and (max-width:48em)",
        "(width <= 600px)",
        "(min-width: 300px) and (max-width: 599.98px)",
        "(max-width: 400px), (max-width: 900px) and (orientation: landscape)",
        "(prefers-color-scheme: dark)",
        "print",
    ],
)
def test_a_source_for_other_screens_comes_last(media):
    html = f'<picture><source media="{media}" srcset="/o.jpg"><source media="(min-width: 601px)"'
    image = image_of(html + ' srcset="/wide.jpg"><img src="/x.jpg"></picture>')
    urls = image.url, *image.candidates
    assert [url.rpartition("/")[2] for url in urls] == ["wide.jpg", "x.jpg", "o.jpg"]
    alone = image_of(f'<picture><source media="{media}" srcset="/o.jpg"><img></picture>')
    assert alone.url == "https://www.example.org/o.jpg"


@pytest.mark.parametrize("media", ["(min-width: 60em)", "all", "(max-width: 1600px)", "screen"])
def test_a_source_for_a_wide_screen_comes_first(media):
    html = f'<picture><source media="{media}" srcset="/wide.jpg"><img src="/x.jpg"></picture>'
    assert image_of(html).url == "https://www.example.org/wide.jpg"


def test_a_parameter_of_a_url_is_no_character_reference():
    query = "a=1&amp;b=2&timestamp=3&copy=4&notify=5&section=6&lt=7&notit;&#38;c=8&amp;amp;d"
    image = image_of(f'<img src="/i?{query}" alt="&copy 2020 caf&eacute &lt;&hellip;&no;">')
    kept = "a=1&b=2&timestamp=3&copy=4&notify=5&section=6&lt=7&notit;&c=8&amp;d"
    assert image.url == f"https://www.example.org/i?{kept}"
    assert image.alt == "© 2020 café <…&no;"


@pytest.mark.parametrize(
    "attribute",
    [
        'data-thumb="/o.jpg"',
        'data-low-res-src="/o.jpg"',
        'data-mobile-src="/o.jpg"',
        'data-pin-media="/o.jpg"',
        'data-fallback-img="/o.jpg"',
        'data-url="/o.html"',
        'data-image="/o/12345"',
    ],
)
def test_an_attribute_that_names_something_lesser_comes_last(attribute):
    image = image_of(f'<img src="/x.jpg" {attribute}>')
    assert image.url == "https://www.example.org/x.jpg"
    assert len(image.candidates) == 1
    alone = image_of(f'<img src="data:image/gif;base64,R0" {attribute}>')
    assert alone.url.startswith("https://www.example.org/o")


@pytest.mark.parametrize("attribute", ['data-large="/o.jpg"', 'data-url="/o.jpg"'])
def test_any_other_attribute_with_an_image_file_is_the_best(attribute):
    assert image_of(f'<img src="/x.jpg" {attribute}>').url == "https://www.example.org/o.jpg"


@pytest.mark.parametrize(
    "inner",
    [
        '<noscript><img src="/s.jpg" width="600"></noscript>',
        '<amp-img fallback src="/s.jpg"></amp-img>',
        '<amp-img placeholder src="/s.jpg"></amp-img>',
    ],
)
def test_what_stands_in_for_an_amp_image_is_no_image_of_its_own(inner):
    found = run(page(f'<amp-img src="/x.webp" width="600" height="400">{inner}</amp-img>'))
    (image,) = middle_of(found)
    assert image.url.endswith("/x.webp")
    assert image.candidates == ("https://www.example.org/s.jpg",)
    assert reasons(found) == [("https://www.example.org/s.jpg", Reason.DUPLICATE)]


def test_an_amp_image_with_a_placeholder_and_a_noscript_copy():
    inner = '<amp-img placeholder src="/p.jpg"></amp-img><noscript><img src="/n.jpg"></noscript>'
    found = run(page(f'<amp-img src="/x.jpg" width="600" height="400">{inner}</amp-img>'))
    (image,) = middle_of(found)
    assert image.url.endswith("/x.jpg")
    assert [reason for _, reason in reasons(found)] == [Reason.DUPLICATE] * 2


@pytest.mark.parametrize("hidden", ["hidden", 'style="Display : none"'])
def test_a_hidden_image_is_no_content_unless_a_script_may_show_it(hidden):
    found = run(page(f'<img src="/x.jpg" {hidden}>'))
    assert middle_of(found) == []
    assert reasons(found) == [("https://www.example.org/x.jpg", Reason.BOILERPLATE)]
    assert image_of(f'<img data-src="/x.jpg" {hidden}>').url == "https://www.example.org/x.jpg"


def test_a_template_is_not_shown_but_for_a_shadow_root():
    inner = "<p>Some words of a card that has a picture.</p><img src=/x.jpg width=400>"
    found = run(page(f"<template>{inner}</template>"))
    assert middle_of(found) == []
    assert reasons(found) == [("https://www.example.org/x.jpg", Reason.BOILERPLATE)]
    card = page(f"<my-card><template shadowrootmode=open>{inner}</template></my-card>")
    text, image = middle_of(run(card))
    assert text.text == "Some words of a card that has a picture."
    assert image.url == "https://www.example.org/x.jpg"


@pytest.mark.parametrize("tag", ["video", "audio", "canvas"])
def test_what_is_shown_instead_of_a_player_is_no_content(tag):
    found = run(page(f'<{tag}>Get a browser <img src="/x.jpg" width="400"></{tag}>'))
    assert middle_of(found) == []
    assert reasons(found) == [("https://www.example.org/x.jpg", Reason.BOILERPLATE)]


def test_what_follows_the_end_of_the_page_belongs_to_it():
    html = page('</div></BODY ></html>\n<img src="/x.jpg" width="400"><div>')
    (image,) = middle_of(run(html.replace("<article>", "<div>").replace("</article>", "</div>")))
    assert image.url == "https://www.example.org/x.jpg"


def test_the_tex_of_mathjax_is_text():
    tex = '<script type="math/tex">a < b</script>'
    block = '<script type="math/tex; mode=display">e = mc^2</script>'
    (text,) = middle_of(run(page(f"<p>It is known that {tex} and {block} hold for all.</p>")))
    assert text.text == "It is known that \\(a < b\\) and \\[e = mc^2\\] hold for all."


@pytest.mark.parametrize(
    "ruby",
    [
        "<ruby>漢字<rp>(</rp><rt>かんじ</rt><rp>)</rp></ruby>",
        "<ruby><rb>漢字</rb><rt>かんじ</rt></ruby>",
        "<ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>",
    ],
)
def test_the_characters_of_a_ruby_element_are_the_text(ruby):
    (text,) = middle_of(run(page(f"<p>これは{ruby}を含む文である。</p>")))
    assert text.text == "これは漢字を含む文である。"


def test_no_control_characters_in_texts():
    image, text = middle_of(
        run(page('<img src=/x.jpg alt="a&#7;b"><p>Bell&#7; and \x1bescape.</p>'))
    )
    assert (image.alt, text.text) == ("ab", "Bell and escape.")


@pytest.mark.parametrize("comment", ["<!-- a > b --!>", "<!-->", "<!--->", "<!-- <img src=y> -->"])
def test_where_a_comment_ends(comment):
    assert image_of(f'{comment}<img src="/x.jpg">').url == "https://www.example.org/x.jpg"


def test_a_source_of_a_format_that_nobody_knows_comes_late():
    html = '<picture><source type="image/x-own" srcset="/x.own"><img src="/x.jpg"></picture>'
    assert image_of(html).url == "https://www.example.org/x.jpg"


def test_the_largest_source_of_a_picture_is_the_best():
    image = image_of(
        '<picture><source srcset="/s.jpg 320w, /l.jpg 640w"><source type="image/avif" '
        'srcset="/l.avif 640w"><img src="/s.jpg"></picture>'
    )
    urls = [url.rpartition("/")[2] for url in (image.url, *image.candidates)]
    assert urls == ["l.jpg", "s.jpg", "l.avif"]
