"""Holds extraction against what Chromium makes of the same pages: words and image URLs.

Usage: python -m scripts.bench.browser [--data DIR] [--chromium PATH]

Every page of ../shared/data/pages is opened in headless Chromium, without scripts and without a
network, under its own URL.

words     those of the extracted text that the page does not show (`innerText`): glued are two
          words of the page in one, torn is one word of the page in two. Pages that show no text
          without scripts are left out
URLs      the first URL of each content image, resolved by weft; foreign ones are none that the
          browser resolves from any attribute of the page (`new URL(value, document.baseURI)`)

Needs Playwright and a Chromium; some 3 minutes.
"""

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from schemas.document import Image, Text
from scripts.bench.extraction import SHARED_DATA, SYSTEMS, Sample, load

_SETS = ("scrapinghub", "readability", "postlight")
_NAMES = ("weft accurate", "weft fast", "trafilatura fast", "trafilatura", "resiliparse")
_SHOWN = """() => {
  const urls = new Set();
  const add = value => { try { urls.add(new URL(value, document.baseURI).href); } catch {} };
  for (const element of document.querySelectorAll("*"))
    for (const {value} of element.attributes) {
      if (value.length > 20000) continue;
      add(value);
      for (const part of value.split(/\\s+/)) add(part.replace(/^,+|,+$/g, ""));
      for (const part of value.split(/,\\s*/)) add(part.split(/\\s+/)[0]);
      for (const [, part] of value.matchAll(/"([^"]*\\/\\/[^"]*)"/g)) add(part);
    }
  return {words: document.body ? document.body.innerText : "", urls: [...urls]};
}"""


@dataclass(frozen=True)
class Shown:
    """The words that a page shows and all URLs that it names."""

    words: frozenset[str]
    urls: frozenset[str]


def shown(samples: list[Sample], chromium: str) -> dict[str, Shown]:
    """What Chromium makes of each page, by URL."""
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False).new_page()
        waiting: list[Sample] = []

        def answer(route: Any) -> None:
            if waiting and route.request.is_navigation_request():
                sample = waiting.pop()
                kind = sample.content_type or "text/html"
                route.fulfill(body=sample.body, content_type=kind)
            else:
                route.abort()

        page.route("**/*", answer)
        for sample in samples:
            waiting[:] = [sample]
            page.goto(sample.url, wait_until="domcontentloaded")
            told = page.evaluate(_SHOWN)
            found[sample.url] = Shown(frozenset(told["words"].split()), frozenset(told["urls"]))
        browser.close()
    return found


def glued_and_torn(text: str, words: frozenset[str]) -> tuple[int, int]:
    """Words of the text that are two of the page's, and those that are a part of one."""
    tokens = text.split()
    glued = torn = 0
    for i, token in enumerate(tokens):
        if token in words:
            continue
        if any(token[:k] in words and token[k:] in words for k in range(1, len(token))):
            glued += 1
        elif token + "".join(tokens[i + 1 : i + 2]) in words:
            torn += 1
    return glued, torn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SHARED_DATA)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    arguments = parser.parse_args()
    if not arguments.chromium:
        parser.error("no chromium on PATH: name one with --chromium")
    pages = arguments.data / "pages"
    samples = [
        sample
        for name in _SETS
        for sample in load([pages / f"{name}.warc.gz"], pages / f"{name}.gold.jsonl")
    ]
    browser = shown(samples, arguments.chromium)
    samples = [sample for sample in samples if browser[sample.url].words]
    print(
        f"{len(samples)} pages\n{'':20}{'words':>9}{'glued':>7}{'torn':>6}{'URLs':>7}{'foreign':>9}"
    )
    for name in _NAMES:
        words = glued = torn = urls = foreign = 0
        for sample, (nodes, _) in zip(samples, SYSTEMS[name](samples, ""), strict=True):
            page = browser[sample.url]
            for node in nodes:
                if isinstance(node, Text):
                    words += len(node.text.split())
                    more = glued_and_torn(node.text, page.words)
                    glued, torn = glued + more[0], torn + more[1]
                elif isinstance(node, Image):
                    urls += 1
                    foreign += node.url not in page.urls
        print(f"{name:20}{words:9,}{glued:7}{torn:6}" + (f"{urls:7,}{foreign:9}" if urls else ""))


if __name__ == "__main__":
    main()
