"""The rule lists of the presets: they build, and hold the numbers of what they are named after."""

import dataclasses
from importlib import resources

import pytest
import yaml

from filters.base import On
from pipeline.config import RULES_IN, build_config

PRESETS = ["extract", "mmc4", "mmc4-core", "obelics", "sample"]
SECTIONS = {key.split(".")[0] for key in RULES_IN}


def rules_of(preset):
    """Section and rule name -> the rule, for the sections of rules alone."""
    data = yaml.safe_load((resources.files("configs") / f"{preset}.yaml").read_text("utf-8"))
    base = rules_of(data["extends"])[0] if "extends" in data else {}
    data = {key: value for key, value in data.items() if key in SECTIONS}
    sections = {**base, **data}
    return sections, build_config({**sections, "place_images": {"method": "dom"}}, preset)


@pytest.mark.parametrize("preset", PRESETS)
def test_its_rules_build_and_are_named_once_a_list(preset):
    _, config = rules_of(preset)
    lists = {
        On.PAGE: config.filter_pages,
        On.TEXT: config.filter_text.paragraphs,
        On.DOCUMENT: config.filter_documents,
        On.PLACED: config.filter_placed,
    }
    for on, rules in lists.items():
        names = [rule.name for rule in rules]
        assert len(set(names)) == len(names)
        assert {rule.on for rule in rules} <= {on}


@pytest.mark.parametrize("preset", PRESETS)
def test_opt_outs_are_honoured(preset):
    _, config = rules_of(preset)
    [opt_out] = [rule for rule in config.filter_pages if rule.name == "opt_out"]
    assert set(opt_out.directives) >= {"noai", "noimageai"}
    assert opt_out.tdm_reservation


def fields(rules):
    return {rule.name: tuple(dataclasses.asdict(rule).values()) for rule in rules}


def test_obelics():
    _, config = rules_of("obelics")
    assert fields(config.filter_text.paragraphs) == {
        "word_count": (4, 1000),
        "character_repetition": (10, 0.1),
        "word_repetition": (5, 0.1),
        "special_characters": (0.3,),
        "stop_words": (0.3, ""),
        "flagged_words": (0.01, ""),
        "punctuation": (0.001, 12),
        "spam_words": (0.12, ""),
    }
    assert fields(config.filter_text.documents) == {
        "language": (("en",), 0.8),
        "word_count": (10, 2000),
        "character_repetition": (10, 0.1),
        "word_repetition": (5, 0.2),
        "special_characters": (0.275,),
        "stop_words": (0.35, ""),
        "flagged_words": (0.01, ""),
        "punctuation": (0.03, 0),
    }
    assert fields(config.filter_documents)["image_count"] == (1, 30)


def test_mmc4_core():
    _, config = rules_of("mmc4-core")
    assert fields(config.filter_placed) == {
        "sentence_count": (4, 40),
        "image_count": (2, 15),
        "matched_share": (0.25, 0.75),
    }
    assert config.filter_text == rules_of("mmc4")[1].filter_text
