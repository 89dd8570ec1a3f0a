"""Settings of deduplication. Ranges are checked here, before a worker starts."""

from dataclasses import dataclass, field
from typing import Literal, get_args

Keep = Literal["latest", "longest", "most_images"]


@dataclass(frozen=True)
class MinHashConfig:
    """Near-duplicates by MinHash signatures that agree on all rows of at least one band.

    Two documents of Jaccard similarity j (of their sets of word n-grams) become candidates with
    probability ``1 - (1 - j**rows)**bands`` (`stages.dedup.minhash.probability`): by default .25
    at j = .5, .64 at .6, .955 at .7, .9998 at .8. A candidate is a near-duplicate if the similarity
    that the whole signatures estimate (standard error ``sqrt(j * (1 - j) / permutations)``, at most
    .031) reaches the threshold. Without that second look most pages of a large site whose template
    makes up two thirds of each (j = .5) become one cluster: of 36 bands each page has two that come
    from the template alone, and every page with such a band shares it.

    Attributes:
      ngram: words of a shingle. Three words rather than the usual five: an edit costs fewer
        shingles, so copies with scattered edits stay apart from pages that share a passage.
      permutations: length of a signature, uint32 values.
      bands, rows: the split of the signature; ``bands * rows`` may leave some values unused.
      threshold: least estimated similarity of two near-duplicates; 0 takes every candidate.
      seed: of the permutations.
    """

    ngram: int = 3
    permutations: int = 256
    bands: int = 36
    rows: int = 7
    threshold: float = 0.6
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("ngram", "permutations", "bands", "rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"minhash: {name} is {getattr(self, name)}, less than 1")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"minhash: threshold is {self.threshold}, not in [0, 1]")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"minhash: seed is {self.seed}, not in [0, 2**32)")
        if self.bands > 256:
            raise ValueError(f"minhash: bands is {self.bands}, more than 256")
        if self.bands * self.rows > self.permutations:
            raise ValueError(
                f"minhash: bands x rows is {self.bands * self.rows}, "
                f"more than {self.permutations} permutations"
            )


@dataclass(frozen=True)
class ParagraphConfig:
    """Paragraphs that a site repeats. Every copy of such a paragraph is removed on that site.

    Source: OBELICS, build_obelics/09_05 and 09_06: a paragraph seen at least 3 times in a netloc.

    Attributes:
      min_count: how often a paragraph must be seen to count as repeated.
      count: what is counted, "documents" that hold the paragraph or "occurrences" (OBELICS).
      site: where it is counted: the "host" of the URL (OBELICS: netloc) or its registrable
        "domain" by the Public Suffix List.
    """

    min_count: int = 3
    count: Literal["documents", "occurrences"] = "documents"
    site: Literal["host", "domain"] = "host"

    def __post_init__(self) -> None:
        if self.min_count < 2:
            raise ValueError(f"paragraphs: min_count is {self.min_count}, less than 2")
        _one_of("paragraphs: count", self.count, ("documents", "occurrences"))
        _one_of("paragraphs: site", self.site, ("host", "domain"))


@dataclass(frozen=True)
class DedupConfig:
    """What makes two documents copies of each other, and which copy stays.

    Attributes:
      url: the same canonical URL (`stages.dedup.urls.canonical_url`).
      text: the same text, whitespace and Unicode composition aside.
      minhash: nearly the same text; None turns it off.
      paragraphs: repeated paragraphs in the documents that stay; None turns it off.
      keep: which member of a cluster stays: the "latest" crawled (OmniCorpus, OBELICS), the
        "longest" text in characters, or the one with "most_images". Ties go to the smallest id.
    """

    url: bool = True
    text: bool = True
    minhash: MinHashConfig | None = field(default_factory=MinHashConfig)
    paragraphs: ParagraphConfig | None = field(default_factory=ParagraphConfig)
    keep: Keep = "latest"

    def __post_init__(self) -> None:
        _one_of("deduplicate: keep", self.keep, get_args(Keep))


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, not one of {', '.join(allowed)}")
