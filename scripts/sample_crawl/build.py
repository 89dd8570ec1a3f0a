"""The sample crawl: ordinary pages of seven sites and one of everything that can go wrong.

Ordinary pages come first, then special ones, each with what is expected of it under the rules of
`scripts.sample_crawl.gold.RULES`.
"""

import gzip
import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import escape

import brotli

from schemas.document import Role
from scripts.sample_crawl import pictures
from scripts.sample_crawl.compose import GOOD, Composer, Slot
from scripts.sample_crawl.foreign import FOREIGN
from scripts.sample_crawl.layouts import SITES, Frame, Site, furniture, render
from scripts.sample_crawl.model import (
    KEPT,
    Article,
    Block,
    Crawl,
    Expected,
    Page,
    Resource,
    rejected,
)

N_WARCS = 4
DAMAGED_WARC = 1
_START = datetime(2024, 5, 12, 6, 0, tzinfo=UTC)
_RECRAWL = timedelta(days=30)
_HTML = "text/html; charset=utf-8"
_ORDERS = ("text", "text", "text", "far", "shuffled")
_EARLY_TITLES = (
    ("how-it-started", "How it all started, and who was there"),
    ("ask-the-editors", "Ask the editors about almost anything"),
    ("summer-plans", "Our plans for the summer and the autumn"),
    ("thank-you", "A word of thanks to everybody who helped"),
)
_SEAL = "season-card"
KEEP_POLICY = "the capture with the latest crawl_time survives"
MIRROR = "drift-press.example"


def build(seed: str = "sample", ordinary_per_site: int = 20) -> Crawl:
    """The whole crawl, always the same for the same arguments.

    Raises:
      ValueError: fewer ordinary pages than the special ones refer to.
    """
    if ordinary_per_site < 8:
        raise ValueError(f"ordinary_per_site is {ordinary_per_site}, less than 8")
    builder = _Builder(seed)
    builder.ordinary(ordinary_per_site)
    builder.duplicates()
    builder.frequent_image(12)
    builder.refused_texts()
    builder.opt_outs()
    builder.images()
    builder.responses()
    builder.furniture()
    return _distribute(builder.crawl)


def _distribute(crawl: Crawl) -> Crawl:
    """Chooses the file of each record: pages in turn, images by a hash of their URL."""
    pages = [
        # The damaged record stands in a file with one record in each gzip member.
        replace(page, warc=DAMAGED_WARC if page.kind == "damaged_record" else i % N_WARCS)
        for i, page in enumerate(crawl.pages)
    ]
    resources = {
        url: replace(resource, warc=hashlib.sha256(url.encode()).digest()[0] % N_WARCS)
        for url, resource in crawl.resources.items()
    }
    return Crawl(pages, resources)


class _Builder:
    def __init__(self, seed: str) -> None:
        self.crawl = Crawl()
        self._rng = random.Random(f"{seed}/build")
        self._composer = Composer(self.crawl, seed)
        self._clock = _START

    # --- Helpers ------------------------------------------------------------------------------

    def _now(self) -> str:
        self._clock += timedelta(seconds=67)
        return _iso(self._clock)

    def _article(
        self,
        site: Site,
        slots: Sequence[Slot],
        order: str = "text",
        words: tuple[int, int] = (130, 420),
    ) -> tuple[Article, str]:
        key = self._composer.next_key()
        crawled = _iso(self._clock - timedelta(hours=self._rng.randint(1, 40)))
        article = self._composer.article(site, key, slots, order, crawled, words)
        return article, f"{_slug(article.title)}-{key[1:]}"

    def _related(self, site: Site) -> tuple[tuple[str, str], ...]:
        old = [(f"{site.root}/{slug}", title) for slug, title in _EARLY_TITLES]
        mine = [(p.url, p.title) for p in self.crawl.pages if p.site == site.host and p.article]
        return tuple((old + mine)[-4:])

    def _page(
        self,
        site: Site,
        article: Article,
        slug: str,
        kind: str,
        expected: Expected = KEPT,
        meta: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        charset: str = "utf-8",
        encoding: str = "utf-8",
        content_type: str = _HTML,
        crawl_time: str = "",
        url: str = "",
        cluster: str = "",
    ) -> Page:
        """Renders an article and adds its page to the crawl."""
        url = url or site.page_url(slug, article.date)
        # The same article must come out the same wherever it is shown.
        rng = random.Random(f"{article.title}/{article.date}")
        frame = Frame(site, self._related(site), rng, meta, charset)
        rendered = render(article, frame)
        page = Page(
            url,
            crawl_time or self._now(),
            site.host,
            site.layout,
            kind,
            rendered.html.encode(encoding),
            expected,
            headers=(("Content-Type", content_type), *headers),
            article=article,
            title=article.title,
            cluster=cluster,
            junk_images=rendered.junk_images,
            junk_texts=rendered.junk_texts,
        )
        self.crawl.pages.append(page)
        return page

    def _special(
        self,
        layout: str,
        kind: str,
        slots: Sequence[Slot],
        expected: Expected = KEPT,
        order: str = "text",
        words: tuple[int, int] = (130, 300),
        **page: str | tuple[tuple[str, str], ...],
    ) -> Page:
        site = SITES[layout]
        article, slug = self._article(site, slots, order, words)
        return self._page(site, article, slug, kind, expected, **page)  # type: ignore[arg-type]

    def _replace(self, page: Page, **changes: object) -> Page:
        """Puts a changed copy in the place of a page."""
        changed = replace(page, **changes)  # type: ignore[arg-type]
        self.crawl.pages[self.crawl.pages.index(page)] = changed
        return changed

    # --- Ordinary pages -----------------------------------------------------------------------

    def ordinary(self, per_site: int) -> None:
        for number in range(per_site):
            for layout, site in SITES.items():
                count = self._rng.choice((1, 1, 2, 2, 2, 3, 3, 4))
                order = self._rng.choice(_ORDERS)
                if order == "shuffled":
                    count = max(2, count)
                slots = [GOOD] * count
                kind = "ordinary"
                words = (130, 480)
                if layout == "blog" and number == 3:
                    kind, slots[0] = "exif_orientation", Slot(form="jpeg", orientation=6)
                if layout == "wiki" and number == 4:
                    kind, slots[0] = "large_image", Slot(form="jpeg", size=(800, 600))
                if layout == "recipe" and number in (2, 5):
                    kind = "only_smaller_candidate"
                    depends = Expected(
                        depends_on="candidates are tried where the best one is not in the crawl"
                    )
                    slots = [GOOD, Slot(depends, only_smaller=True)]
                article, slug = self._article(site, slots, order, words)
                self._page(site, article, slug, kind)

    def frequent_image(self, pages: int) -> None:
        """The same picture inside the articles of more documents than the rule allows."""
        card = Slot(
            rejected("frequency"),
            kind="frequent",
            scene=pictures.held_out()[7],
            form="jpeg",
            size=(240, 240),
            name=_SEAL,
            shared=True,
            described=False,
            alt="",
        )
        for _ in range(pages):
            self._special("travel", "frequent_image", [GOOD, card], words=(130, 220))

    # --- Duplicates ---------------------------------------------------------------------------

    def duplicates(self) -> None:
        ordinary = [page for page in self.crawl.pages if page.kind == "ordinary"]
        by_layout: dict[str, list[Page]] = {}
        for page in ordinary:
            by_layout.setdefault(page.layout, []).append(page)
        self._recrawls([by_layout[name][0] for name in ("blog", "news", "wiki", "theme")])
        self._tagged_urls([by_layout[name][1] for name in ("blog", "theme")])
        copied = [
            by_layout[name][i] for i in (2, 3) for name in ("blog", "news", "travel", "recipe")
        ]
        for number, page in enumerate(copied):
            self._mirror(page, number, near=number >= 4)

    def _recrawls(self, pages: Sequence[Page]) -> None:
        """Older captures of the same URL, half of them with an older text."""
        for number, page in enumerate(pages):
            article = page.article
            assert article is not None
            expected = rejected("url_duplicate", KEEP_POLICY)
            older = _earlier(page.crawl_time)
            cluster = f"url-{number}"
            body = page.body
            if number % 2:
                shorter, dropped = _drop_last_paragraph(article)
                rng = random.Random(f"{article.title}/{article.date}")
                frame = Frame(SITES[page.layout], self._related(SITES[page.layout]), rng)
                body = render(shorter, frame).html.encode()
                article = shorter if dropped else article
            self.crawl.pages.append(
                replace(
                    page,
                    crawl_time=older,
                    kind="url_duplicate",
                    expected=expected,
                    article=article,
                    body=body,
                    cluster=cluster,
                )
            )
            self._replace(page, cluster=cluster)

    def _tagged_urls(self, pages: Sequence[Page]) -> None:
        """The same page under a URL with a tracking parameter and a fragment."""
        for number, page in enumerate(pages):
            cluster = f"tagged-{number}"
            self.crawl.pages.append(
                replace(
                    page,
                    url=f"{page.url}?utm_source=letter&utm_medium=mail#top",
                    crawl_time=_earlier(page.crawl_time),
                    kind="tagged_url_duplicate",
                    expected=rejected(
                        "url_duplicate",
                        f"canonical URLs drop utm_ parameters, else the same text; {KEEP_POLICY}",
                    ),
                    cluster=cluster,
                )
            )
            self._replace(page, cluster=cluster)

    def _mirror(self, page: Page, number: int, near: bool) -> None:
        """The article of another site again, as it was or with one word in sixty changed."""
        article = page.article
        assert article is not None
        home = SITES[page.layout]
        site = replace(home, host=MIRROR, name="Drift Press", scheme="https")
        kind = "near_duplicate" if near else "text_duplicate"
        blocks = []
        for block in article.blocks:
            if block.shot:
                shot = block.shot
                smaller = shot.smaller and (shot.smaller[1], shot.smaller[1])
                block = replace(block, shot=replace(shot, written=shot.url, smaller=smaller))
            blocks.append(block)
        copy = replace(article, blocks=tuple(blocks))
        if near:
            copy = _change_words(copy)
        cluster = f"{'near' if near else 'text'}-{number}"
        self._page(
            site,
            copy,
            f"copy-{number}",
            kind,
            rejected(kind, KEEP_POLICY),
            crawl_time=_earlier(page.crawl_time),
            url=f"https://{MIRROR}/{kind.replace('_', '-')}/{number}.html",
            cluster=cluster,
        )
        self._replace(page, cluster=cluster)

    # --- Pages that a rule refuses ------------------------------------------------------------

    def refused_texts(self) -> None:
        blog = SITES["blog"]
        for language, (title, paragraphs) in FOREIGN.items():
            article, _ = self._article(blog, [Slot(described=False)], words=(10, 20))
            blocks = [Block(Role.PARAGRAPH, (text,)) for text in paragraphs]
            blocks.insert(1, Block(None, shot=replace(article.shots[0], alt="", caption="")))
            article = replace(article, title=title, blocks=tuple(blocks))
            self._page(blog, article, f"{language}-1", "language", rejected("language"))
        for text in ("Nothing here yet.", "Closed today."):
            article, slug = self._article(blog, [Slot(described=False)], words=(10, 20))
            shot = replace(article.shots[0], caption="", alt="")
            blocks = [Block(Role.PARAGRAPH, (text,)), Block(None, shot=shot)]
            article = replace(article, title="Short notice", blocks=tuple(blocks))
            self._page(blog, article, slug, "too_short", rejected("too_short"))
        for line in (
            "Buy cheap tickets now and save big on the best tickets.",
            "The best offer of the best shop is the best offer for you.",
        ):
            article, slug = self._article(blog, [Slot(described=False)], words=(10, 20))
            shot = replace(article.shots[0], caption="", alt="")
            blocks = [
                Block(Role.PARAGRAPH, (f"{article.paragraphs[0]} " + " ".join([line] * times),))
                for times in (9, 5)
            ]
            blocks.insert(1, Block(None, shot=shot))
            article = replace(article, title="Offers of the week", blocks=tuple(blocks))
            self._page(blog, article, slug, "spam", rejected("repetition"))
        for layout in ("blog", "wiki", "tables"):
            page = self._special(layout, "no_image", [], rejected("no_image"))
            # What is left are the images of the furniture, so they go as well.
            body = re.sub(rb"(?is)<img\b[^>]*>", b"", page.body)
            self._replace(page, body=body, junk_images=())
        self._empty("blog")

    def _empty(self, layout: str) -> None:
        site = SITES[layout]
        url = site.page_url("empty-page", "2022-02-02")
        self.crawl.pages.append(
            Page(url, self._now(), site.host, layout, "empty_body", b"", rejected("empty_body"))
        )

    def opt_outs(self) -> None:
        tag = "X-Robots-Tag"
        refused = rejected("opt_out", "opt_out counts noai, noimageai and noml")
        self._special("blog", "opt_out_header", [GOOD], refused, headers=((tag, "noai"),))
        self._special(
            "news",
            "opt_out_header",
            [GOOD],
            refused,
            headers=((tag, "noindex, noai"), (tag, "noimageai")),
        )
        self._special("recipe", "opt_out_header", [GOOD], refused, headers=((tag, "noml"),))
        self._special(
            "wiki", "opt_out_meta", [GOOD], refused, meta='<meta name="robots" content="noai">'
        )
        self._special(
            "theme",
            "opt_out_meta",
            [GOOD],
            refused,
            meta='<META NAME="ROBOTS" CONTENT="NOAI, NoImageAI">',
        )
        self._special(
            "travel",
            "robots_noindex",
            [GOOD],
            Expected(depends_on="opt_out does not count noindex"),
            meta='<meta name="robots" content="noindex, nofollow">',
        )

    # --- Images -------------------------------------------------------------------------------

    def images(self) -> None:
        unsafe = iter(pictures.hazards() * 2)
        for layout in ("blog", "news", "wiki", "tables", "travel", "theme"):
            hazard = Slot(rejected("nsfw"), kind="unsafe", scene=next(unsafe), form="jpeg")
            self._special(layout, "unsafe_among_good", [GOOD, hazard, GOOD])
        no_image = rejected("image_count")
        for layout in ("blog", "news", "recipe"):
            hazard = Slot(rejected("nsfw"), kind="unsafe", scene=next(unsafe), form="jpeg")
            self._special(layout, "unsafe_only", [hazard], no_image)

        tiny = Slot(rejected("size"), kind="tiny", form="jpeg", size=(120, 100))
        wide = Slot(rejected("aspect"), kind="wide", form="jpeg", size=(728, 90))
        missing = Slot(rejected("not_in_crawl"), kind="missing", form="jpeg", in_crawl=False)
        broken = Slot(rejected("broken"), kind="broken", form="jpeg")
        html = Slot(
            rejected("not_an_image"),
            kind="html",
            form="jpeg",
            body=b"<!DOCTYPE html><html><body><h1>Hotlinking is not allowed</h1></body></html>",
            mime="image/jpeg",
        )
        vector = Slot(
            rejected("svg", "svg is refused by its suffix, its type or its bytes"),
            kind="svg",
            form="png",
            suffix="svg",
            body=pictures.svg("A plan of the garden"),
            mime="image/svg+xml",
        )
        opted_out = Slot(
            rejected("image_opt_out", "noimageai counts in the headers of images"),
            kind="opted_out",
            form="jpeg",
            headers=(("X-Robots-Tag", "noimageai"),),
        )
        for kind, slot, layouts in (
            ("tiny_image", tiny, ("blog", "theme")),
            ("wide_image", wide, ("news", "tables")),
            ("missing_image", missing, ("wiki", "theme")),
            ("broken_image", broken, ("blog", "travel")),
            ("html_as_image", html, ("news", "tables")),
            ("svg_image", vector, ("wiki", "blog")),
            ("opted_out_image", opted_out, ("theme", "travel")),
        ):
            for layout in layouts:
                self._special(layout, kind, [GOOD, slot])
        for layout, slot in (("blog", tiny), ("wiki", missing), ("travel", broken), ("news", wide)):
            self._special(layout, f"{slot.kind}_only", [slot], no_image)

        for layout in ("blog", "theme"):
            same = Slot(
                rejected("near_duplicate_image"),
                kind="resized_copy",
                form="jpeg",
                size=(320, 240),
                copy_of=0,
            )
            first = Slot(form="jpeg", size=(640, 480))
            self._special(layout, "duplicate_image", [first, GOOD, same])
        self._repeated_url()
        self._image_urls()
        many = [Slot(form="jpeg", size=(200, 200)) for _ in range(33)]
        self._special("theme", "many_images", many, rejected("too_many_images"), words=(300, 400))

    def _repeated_url(self) -> None:
        """The same image element twice; it must come out once, at its first place."""
        site = SITES["news"]
        article, slug = self._article(site, [GOOD, GOOD])
        again = replace(
            article.shots[0],
            expected=rejected("repeated_url", "a URL is shown once in a document, the first time"),
        )
        article = replace(article, blocks=(*article.blocks, Block(None, shot=again)))
        self._page(site, article, slug, "repeated_image_url")

    def _image_urls(self) -> None:
        """Image URLs that a careless join loses: upper case, percent signs, spaces, host names."""
        forms = (
            ("Summer%20Walk/IMG_0042", "/photos/Summer%20Walk/IMG_0042.JPG"),
            ("Summer%20Walk/IMG%200043", "/photos/Summer Walk/IMG 0043.JPG"),
            ("archive/IMG_0044", "HTTPS://Harbour-Notes.EXAMPLE:443/photos/archive/IMG_0044.JPG"),
            ("%C3%A9t%C3%A9/IMG_0045", "/photos/été/IMG_0045.JPG"),
        )
        for name, written in forms:
            slot = Slot(
                Expected(depends_on="image URLs are normalised before they are joined"),
                kind="awkward_url",
                form="jpeg",
                suffix="JPG",
                name=name,
                written=written,
            )
            self._special("blog", "image_url_form", [slot, GOOD])

    # --- Responses and encodings --------------------------------------------------------------

    def responses(self) -> None:
        self._encoded_pages()
        self._hostile()
        self._special("wiki", "damaged_record", [GOOD], Expected("failed", "damaged_record"))
        self._non_pages()

    def _encoded_pages(self) -> None:
        page = self._special("tables", "windows_1252", [GOOD], charset="windows-1252")
        article = page.article
        assert article is not None
        text = (
            "The café on the quay is “closed on Mondays”, says its owner, who doesn’t "
            "mind – his naïve résumé of the matter is that nobody comes on a Monday anyway."
        )
        self._with_text(page, text, "windows-1252", "cp1252", "text/html")
        page = self._special("news", "unknown_charset", [GOOD])
        text = (
            "Señora Muñoz brought crème brûlée to the meeting — and, as she said, “not a spoonful "
            "came back” to her kitchen in São Brás."
        )
        self._with_text(page, text, "utf8mb4", "utf-8", "text/html; charset=utf8mb4")

        page = self._special("theme", "gzip_chunked", [GOOD, GOOD])
        self._replace(
            page,
            body=_chunked(gzip.compress(page.body, mtime=0)),
            headers=(
                *page.headers,
                ("Content-Encoding", "gzip"),
                ("Transfer-Encoding", "chunked"),
            ),
        )
        page = self._special("travel", "brotli", [GOOD, GOOD])
        self._replace(
            page,
            body=brotli.compress(page.body, quality=5),
            headers=(*page.headers, ("Content-Encoding", "br")),
        )

    def _with_text(
        self, page: Page, text: str, charset: str, encoding: str, content_type: str
    ) -> None:
        """Renders a page again with one more paragraph, in a coding."""
        article = page.article
        assert article is not None
        blocks = (*article.blocks, Block(Role.PARAGRAPH, (text,)))
        changed = replace(article, blocks=blocks)
        rng = random.Random(f"{article.title}/{article.date}")
        frame = Frame(SITES[page.layout], (), rng, charset=charset)
        html = render(changed, frame).html
        self._replace(
            page,
            article=changed,
            body=html.encode(encoding),
            headers=(("Content-Type", content_type),),
            junk_texts=(),
        )

    def _hostile(self) -> None:
        """Markup in the title and in an alt text must survive as text and nothing more."""
        site = SITES["blog"]
        slot = Slot(alt='<script>alert(1)</script> "quoted" & more')
        article, slug = self._article(site, [slot, GOOD], words=(130, 200))
        text = (
            "If you type <img src=x onerror=alert(1)> into the form of the museum, it should be "
            "shown as it is and never be taken for markup by anyone."
        )
        title = "<script>alert(1)</script> A form and what came of it"
        blocks = (*article.blocks, Block(Role.PARAGRAPH, (text,)))
        article = replace(article, title=title, blocks=blocks)
        page = self._page(site, article, slug, "hostile_markup")
        # The title element holds text only, so a browser shows raw markup in it as it stands.
        raw = page.body.replace(
            f"<title>{escape(title, quote=False)}</title>".encode(),
            f"<title>{title}</title>".encode(),
        )
        self._replace(page, body=raw)

    def _non_pages(self) -> None:
        """Records that are no page: errors, redirects, revisits, other media types."""
        site = SITES["blog"]

        def add(slug: str, kind: str, body: bytes, expected: Expected, **more: object) -> None:
            url = site.page_url(slug, "2021-03-01")
            self.crawl.pages.append(
                Page(url, self._now(), site.host, "none", kind, body, expected, **more)  # type: ignore[arg-type]
            )

        gone = b"<html><head><title>Not found</title></head><body><h1>Not found</h1></body></html>"
        add("gone", "not_found", gone, rejected("status"), status="404 Not Found")
        target = self.crawl.pages[0].url
        add(
            "moved",
            "redirect",
            b"<html><body>Moved <a href='/'>here</a>.</body></html>",
            rejected("status"),
            status="301 Moved Permanently",
            headers=(("Content-Type", "text/html"), ("Location", target)),
        )
        add(
            "annual-report.pdf",
            "pdf",
            b"%PDF-1.4\n% a report that is no page\n%%EOF\n",
            rejected("mime"),
            headers=(("Content-Type", "application/pdf"),),
        )
        add(
            "feed.json",
            "json",
            b'{"items": [{"title": "No page", "image": "/photos/x.jpg"}]}',
            rejected("mime"),
            headers=(("Content-Type", "application/json"),),
        )
        first = self.crawl.pages[0]
        later = _iso(datetime.fromisoformat(first.crawl_time) + _RECRAWL)
        self.crawl.pages.append(
            replace(
                first,
                crawl_time=later,
                kind="revisit",
                record_type="revisit",
                expected=rejected("revisit", "a revisit is rejected by the reader, not ignored"),
                cluster="",
            )
        )

    # --- Furniture ----------------------------------------------------------------------------

    def furniture(self) -> None:
        """Records of the images that pages share, but not of the tracking pixel."""
        sizes = {"logo": (120, 40), "related": (240, 180), "advertisement": (728, 90)}
        sizes |= {"avatar": (80, 80), "share": (24, 24), "divider": (400, 8), "icon": (32, 16)}
        for site in SITES.values():
            for number, junk in enumerate(furniture(site)):
                if junk.why == "pixel" or junk.url in self.crawl.resources:
                    continue
                form = "jpeg" if junk.url.endswith("jpg") else junk.url.rsplit(".", 1)[1]
                colour = (40 * number % 256, 90, 200 - 40 * number % 200)
                picture = pictures.flat(sizes[junk.why], colour, form)
                self.crawl.resources[junk.url] = Resource(
                    junk.url, _iso(_START), picture.body, picture.mime, "furniture"
                )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _earlier(crawl_time: str) -> str:
    return _iso(datetime.fromisoformat(crawl_time) - _RECRAWL)


def _slug(title: str) -> str:
    words = re.findall(r"[a-z]+", title.lower())
    return "-".join(words[:6])


def _drop_last_paragraph(article: Article) -> tuple[Article, bool]:
    """The article as it was before its last paragraph without a picture's sentence was added."""
    sentences = [shot.sentence for shot in article.shots]
    for i in reversed(range(len(article.blocks))):
        block = article.blocks[i]
        if block.role == Role.PARAGRAPH and not any(s and s in block.texts[0] for s in sentences):
            return replace(article, blocks=article.blocks[:i] + article.blocks[i + 1 :]), True
    return article, False


def _change_words(article: Article, every: int = 60) -> Article:
    """Every sixtieth word becomes another one; sentences of pictures stay as they are."""
    sentences = [shot.sentence for shot in article.shots if shot.sentence]
    blocks = []
    passed = 0
    for block in article.blocks:
        if block.role == Role.PARAGRAPH:
            text = block.texts[0]
            words = text.split(" ")
            for i, word in enumerate(words):
                passed += 1
                if passed >= every and word.isalpha() and word.islower():
                    changed = [*words[:i], "certainly", *words[i + 1 :]]
                    if all(s in " ".join(changed) for s in sentences if s in text):
                        words = changed
                        passed = 0
            block = replace(block, texts=(" ".join(words),))
        blocks.append(block)
    return replace(article, blocks=tuple(blocks))


def _chunked(body: bytes, size: int = 1200) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
