import json
from collections import Counter

import pytest

from stages.language import identify_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The lamp of the lighthouse is lit at dusk.", "en"),
        ("Die Lampe des Leuchtturms wird am Abend angezündet.", "de"),
        ("La lámpara del faro se enciende al anochecer.", "es"),
        ("这座灯塔已经有一百多年的历史，每天晚上都会为过往的船只指引方向。", "zh"),
        ("Лампа маяка зажигается в сумерках.", "ru"),
    ],
)
def test_languages(text, language):
    found, probability = identify_language(text)
    assert found == language
    assert 0.5 < probability <= 1
    assert round(probability, 4) == probability
    assert identify_language(text) == (found, probability)


@pytest.mark.parametrize("text", ["", " \n\t", "1999 -- 2024", "\U0001f600\x00"])
def test_a_text_without_a_letter_has_no_language(text):
    assert identify_language(text) == ("", 0.0)


def test_case_and_line_breaks_do_not_matter():
    text = "The lamp of the lighthouse\nis lit\r\n\r\nat dusk."
    assert identify_language(text.upper()) == identify_language(" ".join(text.split()))


def test_news_articles(shared_data):
    # Checked by eye: the 20 that are not English are in the language named.
    lines = (shared_data / "pages" / "scrapinghub.gold.jsonl").read_text().splitlines()
    found = Counter(identify_language(json.loads(line)["article_body"])[0] for line in lines)
    assert found == {"en": 161, "pt": 6, "ru": 4, "de": 2, "id": 2, "it": 2, "ja": 2, "ko": 2}
