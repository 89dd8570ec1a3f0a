import pytest

from stages.dedup.config import (
    BenchmarkConfig,
    ComponentsConfig,
    DedupConfig,
    MinHashConfig,
    ParagraphConfig,
    UrlConfig,
)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: MinHashConfig(bands=30, rows=10),
            "minhash: bands x rows is 300, more than 256 permutations",
        ),
        (lambda: MinHashConfig(ngram=0), "minhash: ngram is 0, less than 1"),
        (lambda: MinHashConfig(rows=0), "minhash: rows is 0, less than 1"),
        (lambda: MinHashConfig(bands=257, rows=1, permutations=257), "bands is 257, more than 256"),
        (lambda: MinHashConfig(threshold=1.1), "minhash: threshold is 1.1, not in"),
        (lambda: MinHashConfig(seed=-1), "minhash: seed is -1, not in"),
        (lambda: ParagraphConfig(min_count=1), "paragraphs: min_count is 1, less than 2"),
        (lambda: ParagraphConfig(count="pages"), "paragraphs: count is 'pages', not one of"),
        (lambda: ParagraphConfig(site="page"), "paragraphs: site is 'page', not one of"),
        (lambda: UrlConfig(trailing_slash="cut"), "url: trailing_slash is 'cut', not one of"),
        (lambda: BenchmarkConfig(("a.csv",)), "benchmarks: a.csv is no .txt, .jsonl or .parquet"),
        (lambda: BenchmarkConfig(ngram=0), "benchmarks: ngram is 0, less than 1"),
        (lambda: BenchmarkConfig(min_share=2), "benchmarks: min_share is 2, not in"),
        (lambda: ComponentsConfig(rounds=-1), "components: rounds is -1, less than 0"),
        (lambda: DedupConfig(keep="highest_quality"), "keep highest_quality and quality, the name"),
        (lambda: DedupConfig(quality="word_count"), "keep highest_quality and quality, the name"),
        (lambda: DedupConfig(keep="first"), "deduplicate: keep is 'first', not one of"),
    ],
)
def test_ranges_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_value_of_a_signature_may_be_used():
    assert MinHashConfig(bands=256, rows=1).bands == MinHashConfig(bands=1, rows=256).rows
