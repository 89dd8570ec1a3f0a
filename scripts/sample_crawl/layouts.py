"""The page layouts of the sample sites, from tables without paragraphs to lazy images.

A layout renders an article and its furniture. What it writes of the article is in the order of the
article's blocks; everything else is furniture and is listed as junk where it is an image or a
text of its own.
"""

import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from schemas.document import Role
from scripts.sample_crawl.model import Article, Block, Junk, Rendered, Shot

_PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
_LINKS = (("/", "Home"), ("/about", "About"), ("/archive", "Archive"), ("/contact", "Contact"))


@dataclass(frozen=True)
class Site:
    """A host: its layout, how its pages are addressed and what it repeats on every page.

    `page_path` has the slots year, month and slug, `image_path` the slot name; `written` says how
    the page writes that path.
    """

    host: str
    name: str
    layout: str
    page_path: str
    image_path: str
    written: str
    scheme: str = "https"
    image_host: str = ""
    boilerplate: tuple[str, ...] = ()

    def page_url(self, slug: str, date: str) -> str:
        year, month, _ = date.split("-")
        return f"{self.scheme}://{self.host}" + self.page_path.format(
            slug=slug, year=year, month=month
        )

    def image_url(self, name: str) -> str:
        host = self.image_host or self.host
        return f"{self.scheme}://{host}" + self.image_path.format(name=name)

    def image_written(self, name: str) -> str:
        return self.written.format(name=name, host=self.image_host or self.host)

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.host}"


_SIGN_IN = "Sign in | Register | Subscribe to our weekly newsletter and never miss a story"
_RIGHTS = "All rights reserved. No part of this site may be copied without written permission."
_COOKIES = (
    "We use cookies to improve your experience on this site and to show you personal offers. By "
    "continuing to browse you accept our cookie policy."
)

SITES: dict[str, Site] = {
    site.layout: site
    for site in (
        Site(
            "harbour-notes.example",
            "Harbour Notes",
            "blog",
            "/{year}/{month}/{slug}/",
            "/photos/{name}",
            "/photos/{name}",
            boilerplate=(
                "Harbour Notes is written by a small group of friends in their spare evenings.",
                _RIGHTS,
            ),
        ),
        Site(
            "daily-lantern.example",
            "The Daily Lantern",
            "news",
            "/news/{slug}.html",
            "/{name}",
            "//{host}/{name}",
            image_host="img.daily-lantern.example",
            boilerplate=(
                _SIGN_IN,
                "Your support keeps independent local reporting alive, so please consider a gift.",
                "The Daily Lantern is not responsible for the content of external sites.",
            ),
        ),
        Site(
            "commons-almanac.example",
            "Commons Almanac",
            "wiki",
            "/wiki/{slug}",
            "/media/{name}",
            "{name}",
            boilerplate=(
                "From Commons Almanac, the almanac that anyone can edit",
                "This page was last edited by a reader and is available under a free licence.",
            ),
        ),
        Site(
            "old-homestead.example",
            "The Old Homestead",
            "tables",
            "/family/pages/{slug}.htm",
            "/family/pics/{name}",
            "../pics/{name}",
            scheme="http",
            boilerplate=(
                "This page is best viewed at a resolution of 800 by 600 with any browser.",
            ),
        ),
        Site(
            "slow-roads.example",
            "Slow Roads",
            "travel",
            "/diary/{slug}",
            "/media/{name}",
            "/media/{name}",
            boilerplate=(
                "If you enjoyed this entry of the diary, you can write to us or buy us a coffee.",
                _COOKIES,
            ),
        ),
        Site(
            "spoon-and-ladle.example",
            "Spoon and Ladle",
            "recipe",
            "/recipes/{slug}/",
            "/static/{name}",
            "https://{host}/static/{name}",
            image_host="cdn.spoon-and-ladle.example",
            boilerplate=(
                "Did you try this recipe? Rate it and tell the others how it turned out for you.",
                "Nutrition values on this site are estimates and should not be used as advice.",
            ),
        ),
        Site(
            "garden-society.example",
            "Garden Society",
            "theme",
            "/{slug}/",
            "/wp-content/uploads/{name}",
            "https://{host}/wp-content/uploads/{name}",
            boilerplate=(
                _COOKIES,
                "Your email address will not be published. Required fields are marked with a star.",
                "Proudly powered by a free theme that thousands of societies around the world use.",
            ),
        ),
    )
}


@dataclass(frozen=True)
class Frame:
    """What a layout may use beside the article: the site, other articles, a source of variety."""

    site: Site
    related: tuple[tuple[str, str], ...]
    rng: random.Random
    meta: str = ""
    charset: str = "utf-8"


def render(article: Article, frame: Frame) -> Rendered:
    return _LAYOUTS[frame.site.layout](article, frame)


def furniture(site: Site) -> tuple[Junk, ...]:
    """The images that a site's pages share; a sample crawl holds most of them."""
    root = site.root
    shared = [Junk(f"{root}/assets/logo.png", "logo")]
    if site.layout == "news":
        shared += [Junk(f"{root}/thumbs/related-{i}.jpg", "related") for i in range(4)]
        shared += [Junk("https://ads.example/serve/leaderboard-728x90.gif", "advertisement")]
    if site.layout == "theme":
        shared += [Junk(f"{root}/avatar/{i}.png", "avatar") for i in range(3)]
        shared += [Junk(f"{root}/share/{name}-icon.png", "share") for name in ("mail", "post")]
    if site.layout in ("travel", "news"):
        shared += [Junk("https://pixel.example/p.gif", "pixel")]
    if site.layout == "tables":
        shared += [Junk(f"{root}/gfx/divider.gif", "divider"), Junk(f"{root}/gfx/new.gif", "icon")]
    if site.layout == "recipe":
        shared += [Junk(f"{root}/assets/star-icon.png", "icon")]
    return tuple(shared)


def _inline(text: str, rng: random.Random) -> str:
    """Escaped text with a word or two in inline markup, wrapped as a source file would be."""
    words = [escape(word, quote=False) for word in text.split(" ")]
    for chance in (0.35, 0.15):
        if rng.random() < chance:
            i = rng.randrange(len(words))
            tag = rng.choice(("em", "strong", "a"))
            start = '<a href="#more">' if tag == "a" else f"<{tag}>"
            if "<" not in words[i]:
                words[i] = f"{start}{words[i]}</{tag}>"
    return textwrap.fill(" ".join(words), 98, break_long_words=False, break_on_hyphens=False)


def _img(shot: Shot, rng: random.Random, extra: str = "", src: str = "src") -> str:
    size = f' width="{shot.width}" height="{shot.height}"' if rng.random() < 0.3 else ""
    if shot.width < 150 or shot.height < 150:
        size = ""
    title = f' title="{escape(shot.title)}"' if shot.title else ""
    return f'<img {src}="{escape(shot.written)}" alt="{escape(shot.alt)}"{title}{size}{extra}>'


def _list(block: Block, rng: random.Random) -> str:
    tag = "ol" if block.ordered else "ul"
    items = "\n".join(f"  <li>{_inline(text, rng)}</li>" for text in block.texts)
    return f"<{tag}>\n{items}\n</{tag}>"


def _flow(article: Article, rng: random.Random, picture: Callable[[Shot], str]) -> str:
    """The blocks in the markup that most layouts share."""
    parts = []
    for block in article.blocks:
        if block.shot:
            parts.append(picture(block.shot))
        elif block.role == Role.HEADING:
            parts.append(f"<h2>{escape(block.texts[0])}</h2>")
        elif block.role == Role.QUOTE:
            parts.append(f"<blockquote><p>{_inline(block.texts[0], rng)}</p></blockquote>")
        elif block.role == Role.LIST_ITEM:
            parts.append(_list(block, rng))
        elif block.role == Role.TABLE_ROW:
            rows = "".join(
                "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in text.split(" | ")) + "</tr>"
                for text in block.texts
            )
            parts.append(f'<table class="facts"><tbody>{rows}</tbody></table>')
        else:
            parts += [f"<p>{_inline(text, rng)}</p>" for text in block.texts]
    return "\n".join(parts)


def _head(article: Article, frame: Frame, extra: str = "") -> str:
    return (
        f'<head><meta charset="{frame.charset}">{frame.meta}\n'
        f"<title>{escape(article.title, quote=False)}</title>\n"
        f'<meta name="author" content="{escape(article.author)}">\n'
        f'<meta property="article:published_time" content="{article.date}T08:00:00Z">\n'
        f'<meta property="og:site_name" content="{escape(frame.site.name)}">\n{extra}'
        "<style>body{font-family:serif} .wrap{max-width:60em}</style>\n"
        "<script>window.dataLayer=window.dataLayer||[];function track(e){dataLayer.push(e)}"
        "</script></head>"
    )


def _nav(site: Site, tag: str = "nav") -> str:
    links = "".join(f'<li><a href="{site.root}{path}">{name}</a></li>' for path, name in _LINKS)
    return f"<{tag}><ul>{links}</ul></{tag}>"


def _blog(article: Article, frame: Frame) -> Rendered:
    site, rng = frame.site, frame.rng

    def picture(shot: Shot) -> str:
        caption = f"<figcaption>{escape(shot.caption)}</figcaption>" if shot.caption else ""
        return f"<figure>\n{_img(shot, rng)}\n{caption}</figure>"

    related = "".join(f'<li><a href="{url}">{escape(t)}</a></li>' for url, t in frame.related)
    html = f"""<!DOCTYPE html>
<html lang="en">
{_head(article, frame)}
<body>
<header class="site-header"><a href="/"><img src="/assets/logo.png" alt="{site.name}"></a>
{_nav(site)}</header>
<main>
<article>
<header><h1>{escape(article.title)}</h1>
<p class="byline">By {escape(article.author)}, <time datetime="{article.date}">{article.date}</time>
</p></header>
{_flow(article, rng, picture)}
</article>
</main>
<aside><h3>Older entries</h3><ul>{related}</ul></aside>
<footer><p>{site.boilerplate[0]}</p><p>{site.boilerplate[1]}</p></footer>
</body>
</html>
"""
    return Rendered(html, furniture(site))


def _news(article: Article, frame: Frame) -> Rendered:
    site, rng = frame.site, frame.rng

    def picture(shot: Shot) -> str:
        caption = f'<div class="image-caption">{escape(shot.caption)}</div>' if shot.caption else ""
        return f'<div class="article-image">{_img(shot, rng)}{caption}</div>'

    teasers = "".join(
        f'<div class="teaser"><a href="{url}"><img src="/thumbs/related-{i}.jpg" alt="" '
        f'width="240" height="180"><span>{escape(title)}</span></a></div>'
        for i, (url, title) in enumerate(frame.related)
    )
    html = f"""<!doctype html>
<html lang="en-GB">
{_head(article, frame)}
<body>
<div id="page"><div class="header"><div class="login">{site.boilerplate[0]}</div>
<img src="/assets/logo.png" alt="{site.name}">{_nav(site)}</div>
<div class="ad"><a href="https://ads.example/go"><img
 src="https://ads.example/serve/leaderboard-728x90.gif" alt="" width="728" height="90"></a></div>
<div class="columns"><div class="story" id="content"><h1>{escape(article.title)}</h1>
<div class="meta"><span>{escape(article.author)}</span> <span>{article.date}</span></div>
<div class="story-body">
{_flow(article, rng, picture)}
</div>
<p class="support">{site.boilerplate[1]}</p></div>
<aside class="sidebar"><h3>Related stories</h3>{teasers}</aside></div>
<footer><p>{site.boilerplate[2]}</p></footer></div>
<img src="https://pixel.example/p.gif" width="1" height="1" alt="">
</body></html>
"""
    return Rendered(html, furniture(site), tuple(title for _, title in frame.related))


def _wiki(article: Article, frame: Frame) -> Rendered:
    site, rng = frame.site, frame.rng

    def picture(shot: Shot) -> str:
        name = shot.url.rsplit("/", 1)[1]
        side = rng.choice(("tright", "tleft"))
        return (
            f'<div class="thumb {side}"><div class="thumbinner"><a href="/wiki/File:{name}" '
            f'class="image">{_img(shot, rng)}</a><div class="thumbcaption">{escape(shot.caption)}'
            "</div></div></div>"
        )

    base = f'<base href="{site.root}/media/">\n'
    see_also = "".join(f'<li><a href="{url}">{escape(t)}</a></li>' for url, t in frame.related)
    html = f"""<!DOCTYPE html>
<html lang="en" dir="ltr">
{_head(article, frame, base)}
<body class="mediawiki">
<div id="content" role="main"><h1 id="firstHeading">{escape(article.title)}</h1>
<div id="siteSub">{site.boilerplate[0]}</div>
<div id="mw-content-text"><div class="mw-parser-output">
{_flow(article, rng, picture)}
<div class="navbox"><h2>See also</h2><ul>{see_also}</ul></div>
</div></div></div>
<div id="mw-navigation"><a href="{site.root}/"><img src="/assets/logo.png" alt=""></a>
{_nav(site, "div")}</div>
<div id="footer"><p>{site.boilerplate[1]}</p></div>
</body></html>
"""
    return Rendered(html, furniture(site))


def _tables(article: Article, frame: Frame) -> Rendered:
    site, rng = frame.site, frame.rng
    parts = []
    for block in article.blocks:
        if block.shot:
            shot = block.shot
            note = f"<br><small>{escape(shot.caption)}</small>" if shot.caption else ""
            parts.append(
                f'<center><IMG SRC="{escape(shot.written)}" ALT="{escape(shot.alt)}" BORDER=0>'
                f"{note}</center>"
            )
        elif block.role == Role.HEADING:
            parts.append(f"<font size=4><b>{escape(block.texts[0])}</b></font><BR><BR>")
        else:
            parts += [f"{_inline(text, rng)}<BR><br />" for text in block.texts]
    body = "\n".join(parts)
    links = "<br>".join(f'<a href="{site.root}{path}">{name}</a>' for path, name in _LINKS)
    declared = f'<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset={frame.charset}">'
    html = f"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<HTML><HEAD>{declared}{frame.meta}
<TITLE>{escape(article.title, quote=False)}</TITLE></HEAD>
<BODY BGCOLOR="#FFFFEE" TEXT="#222222">
<TABLE WIDTH="100%" BORDER=0 CELLPADDING=8><TR><TD WIDTH=140 VALIGN=top BGCOLOR="#DDDDCC">
<IMG SRC="/assets/logo.png" ALT="{site.name}" WIDTH=120 HEIGHT=40><br>{links}<br>
<IMG SRC="/gfx/new.gif" ALT="new"></TD>
<TD VALIGN=top><font face="Times"><H1>{escape(article.title)}</H1>
{body}
<IMG SRC="/gfx/divider.gif" WIDTH=400 HEIGHT=8 ALT="">
</font></TD></TR></TABLE>
<CENTER><font size=1>{site.boilerplate[0]}</font></CENTER>
</BODY></HTML>
"""
    return Rendered(html, furniture(site))


def _travel(article: Article, frame: Frame) -> Rendered:
    site, rng = frame.site, frame.rng

    def picture(shot: Shot) -> str:
        attribute = rng.choice(("data-src", "data-src", "data-lazy-src", "data-original"))
        lazy = _img(shot, rng, ' loading="lazy" class="lazy"', attribute)
        lazy = lazy.replace("<img ", f'<img src="{_PLACEHOLDER}" ')
        plain = f'<noscript><img src="{escape(shot.written)}" alt="{escape(shot.alt)}"></noscript>'
        note = f'<span class="legend">{escape(shot.caption)}</span>' if shot.caption else ""
        return f'<div class="photo">{lazy}{plain}{note}</div>'

    html = f"""<!DOCTYPE html>
<html lang="en">
{_head(article, frame)}
<body class="diary">
<div class="cookie-consent" role="dialog"><p>{site.boilerplate[1]}</p><button>OK</button></div>
<header><a href="/"><img src="/assets/logo.png" alt="Slow Roads"></a>{_nav(site)}</header>
<div class="entry"><h1 class="entry-title">{escape(article.title)}</h1>
<p class="entry-date">{article.date}</p>
<div class="entry-content">
{_flow(article, rng, picture)}
</div></div>
<footer class="footer"><p>{site.boilerplate[0]}</p></footer>
<img src="https://pixel.example/p.gif" width="1" height="1" alt="">
</body>
</html>
"""
    return Rendered(html, furniture(site))


def _recipe(article: Article, frame: Frame) -> Rendered:
    site, rng = frame.site, frame.rng

    def picture(shot: Shot) -> str:
        caption = f"<figcaption>{escape(shot.caption)}</figcaption>" if shot.caption else ""
        if shot.smaller is None:
            return f"<figure>{_img(shot, rng)}{caption}</figure>"
        small, large = escape(shot.smaller[0]), escape(shot.written)
        fallback = f'<img src="{small}" alt="{escape(shot.alt)}">'
        if rng.random() < 0.5:
            source = f'<source srcset="{small} 320w, {large} 640w" sizes="(min-width: 40em) 640px">'
            return f"<figure><picture>{source}{fallback}</picture>{caption}</figure>"
        both = fallback.replace("<img ", f'<img srcset="{small} 1x, {large} 2x" ')
        return f"<figure>{both}{caption}</figure>"

    html = f"""<!DOCTYPE html>
<html lang="en">
{_head(article, frame)}
<body>
<header class="top"><img src="/assets/logo.png" alt="">{_nav(site)}</header>
<main class="recipe"><h1>{escape(article.title)}</h1>
<div class="rating"><img src="/assets/star-icon.png" alt="star"> 4.5 from 31 ratings</div>
<section class="recipe-text">
{_flow(article, rng, picture)}
</section>
<p class="cta">{site.boilerplate[0]}</p></main>
<footer><p>{site.boilerplate[1]}</p></footer>
</body></html>
"""
    return Rendered(html, furniture(site))


_COMMENTS = (
    "Thank you for this, I had been looking for it for weeks and will try it on Sunday.",
    "My parents used to do the same thing, only with twice the effort and half the result.",
    "I am not sure that I agree with the second part, but it was a pleasure to read.",
    "Does anybody know where the meeting will be held next month?",
    "Lovely as always, greetings from the other side of the valley!",
)


def _theme(article: Article, frame: Frame) -> Rendered:
    site, rng = frame.site, frame.rng

    def picture(shot: Shot) -> str:
        caption = (
            f'<figcaption class="wp-caption-text">{escape(shot.caption)}</figcaption>'
            if shot.caption
            else ""
        )
        image = _img(shot, rng, ' class="wp-image-1203 size-large"')
        link = f'<a href="{escape(shot.url)}">{image}</a>'
        return f'<figure class="wp-block-image">{link}{caption}</figure>'

    comments = tuple(rng.sample(_COMMENTS, 3))
    replies = "".join(
        f'<li class="comment"><img class="photo" src="/avatar/{i}.png" width="80" height="80" '
        f'alt=""><div class="comment-content"><p>{text}</p></div></li>'
        for i, text in enumerate(comments)
    )
    posts = "".join(f'<li><a href="{url}">{escape(t)}</a></li>' for url, t in frame.related)
    html = f"""<!DOCTYPE html>
<html lang="en-US">
{_head(article, frame)}
<body class="single single-post">
<div id="cookie-notice" class="cookie-banner"><p>{site.boilerplate[0]}</p>
<a href="#">Accept</a></div>
<header id="masthead"><div class="site-branding"><img src="/assets/logo.png" alt=""></div>
{_nav(site)}</header>
<div id="primary" class="content-area"><main id="main" class="site-main">
<article class="post type-post hentry"><header class="entry-header">
<h1 class="entry-title">{escape(article.title)}</h1>
<div class="entry-meta">Posted on {article.date} by {escape(article.author)}</div></header>
<div class="entry-content">
{_flow(article, rng, picture)}
<div class="sharedaddy"><h3>Share this</h3><ul><li><a href="#"><img src="/share/mail-icon.png"
 alt="Mail"></a></li><li><a href="#"><img src="/share/post-icon.png" alt="Post"></a></li></ul></div>
</div></article>
<div id="comments" class="comments-area"><h2>{len(comments)} comments</h2><ol>{replies}</ol>
<p class="comment-notes">{site.boilerplate[1]}</p></div></main></div>
<aside id="secondary" class="widget-area"><h2>Recent posts</h2><ul>{posts}</ul></aside>
<footer id="colophon" class="site-footer"><p>{site.boilerplate[2]}</p></footer>
</body></html>
"""
    return Rendered(html, furniture(site), comments)


_LAYOUTS: dict[str, Callable[[Article, Frame], Rendered]] = {
    "blog": _blog,
    "news": _news,
    "wiki": _wiki,
    "tables": _tables,
    "travel": _travel,
    "recipe": _recipe,
    "theme": _theme,
}
