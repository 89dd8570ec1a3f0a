"""Settings of deduplication. Ranges are checked here, before a worker starts."""

from dataclasses import dataclass, field
from typing import Literal, get_args


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
class UrlConfig:
    """Which URLs lead to one page (`stages.dedup.urls`).

    Attributes:
      parameters: names of query parameters that do not tell pages apart, beside the known ones of
        advertisements, newsletters and analytics.
      trailing_slash: whether ``/a/`` is ``/a`` ("ignore") or another page ("keep").
      canonical_link: a page goes under the URL that its ``rel=canonical`` names, if that is on the
        same registrable domain and not the root of a site (which a faulty template names on every
        page).
    """

    parameters: tuple[str, ...] = ()
    trailing_slash: Literal["ignore", "keep"] = "ignore"
    canonical_link: bool = False

    def __post_init__(self) -> None:
        _one_of("url: trailing_slash", self.trailing_slash, ("ignore", "keep"))


@dataclass(frozen=True)
class BenchmarkConfig:
    """Texts that no kept document may hold: benchmarks that a model is to be judged by.

    A text is held by a document that has at least `min_share` of its distinct n-grams of words
    (lower case, Unicode's compatibility form, punctuation aside), and at least one. A text shorter
    than an n-gram is one n-gram.

    Source: T. Brown et al., "Language Models are Few-Shot Learners" (2020), appendix C: one shared
    13-gram, texts of less than 13 words by their whole length and of less than 8 not at all;
    A. Chowdhery et al., "PaLM" (2022), section 8: 70 % of the 8-grams, for `min_share`.

    Attributes:
      texts: files with a text a line (``.txt``), a JSON object a line (``.jsonl``) or a row
        (``.parquet``); none turns decontamination off.
      column: the key or column that holds the text.
      ngram: words of an n-gram.
      min_words: texts of fewer words are not looked for: half a sentence is anywhere.
      min_share: 0 takes one shared n-gram for enough.
    """

    texts: tuple[str, ...] = ()
    column: str = "text"
    ngram: int = 13
    min_words: int = 8
    min_share: float = 0.0

    def __post_init__(self) -> None:
        for name in ("ngram", "min_words"):
            if getattr(self, name) < 1:
                raise ValueError(f"benchmarks: {name} is {getattr(self, name)}, less than 1")
        if not 0 <= self.min_share <= 1:
            raise ValueError(f"benchmarks: min_share is {self.min_share}, not in [0, 1]")
        for path in self.texts:
            if not path.endswith((".txt", ".jsonl", ".parquet")):
                raise ValueError(f"benchmarks: {path} is no .txt, .jsonl or .parquet file")


@dataclass(frozen=True)
class ComponentsConfig:
    """How copies are joined to clusters (`stages.dedup.connect`).

    Attributes:
      one_worker_edges: up to so many edges between copies meet in one worker, which needs about
        300 bytes for each.
      rounds: of star contraction for more; 0 stops the run there instead.
    """

    one_worker_edges: int = 20_000_000
    rounds: int = 0

    def __post_init__(self) -> None:
        for name in ("one_worker_edges", "rounds"):
            if getattr(self, name) < 0:
                raise ValueError(f"components: {name} is {getattr(self, name)}, less than 0")


Keep = Literal["latest", "longest", "most_images", "highest_quality"]


@dataclass(frozen=True)
class DedupConfig:
    """What makes two documents copies of each other, and which copy stays.

    Attributes:
      url: the same canonical URL (`stages.dedup.urls.canonical_url`); None turns it off.
      text: the same text, whitespace and Unicode composition aside.
      minhash: nearly the same text; None turns it off.
      paragraphs: repeated paragraphs in the documents that stay; None turns it off.
      benchmarks: texts that no document may hold.
      keep: which member of a cluster stays: the "latest" crawled (OmniCorpus, OBELICS), the
        "longest" text in characters, the one with "most_images", or the one of "highest_quality".
        Ties go to the smallest id.
      quality: the rule whose score is the quality, the highest being the best; a document that it
        did not score is the worst.
      against: folders of finished corpora. A document that is a copy of one of theirs is removed,
        whatever `keep` says; their texts are not read again, but the signatures that they keep
        (`write.signatures`), which must have been made with the same settings.
      components: how copies are joined to clusters.
    """

    url: UrlConfig | None = field(default_factory=UrlConfig)
    text: bool = True
    minhash: MinHashConfig | None = field(default_factory=MinHashConfig)
    paragraphs: ParagraphConfig | None = field(default_factory=ParagraphConfig)
    benchmarks: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    keep: Keep = "latest"
    quality: str = ""
    against: tuple[str, ...] = ()
    components: ComponentsConfig = field(default_factory=ComponentsConfig)

    def __post_init__(self) -> None:
        _one_of("deduplicate: keep", self.keep, get_args(Keep))
        if (self.keep == "highest_quality") != bool(self.quality):
            raise ValueError(
                "deduplicate: keep highest_quality and quality, the name of a rule, go together"
            )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, not one of {', '.join(allowed)}")
