"""Configs: what is read, what is merged, and what each mistake is told."""

import dataclasses
import re

import pytest

from filters.base import On
from filters.documents.image_count import ImageCount
from filters.pages.mime import Mime
from filters.pages.status import Status
from filters.texts.word_count import WordCount
from pipeline.config import Config, build_config, digest_of, load_config, presets, resolved
from pipeline.errors import UserError
from stages.clip import ClipConfig
from stages.place_images import PlaceConfig
from stages.placement import Method

NATURAL = "place_images: {method: dom}\n"


@pytest.fixture
def written(tmp_path):
    """Writes a config file and returns its path."""

    def write(text, name="my.yaml"):
        (tmp_path / name).write_text(text, "utf-8")
        return str(tmp_path / name)

    return write


def refused(call, *parts):
    """The call is a user's error whose message has the parts in this order."""
    with pytest.raises(UserError) as caught:
        call()
    message = str(caught.value)
    assert re.search(".*".join(re.escape(part) for part in parts), message, re.S), message
    assert "\n" not in message
    return message


# --- Presets ----------------------------------------------------------------------------------


def test_the_presets():
    assert presets() == ["extract", "mmc4", "mmc4-core", "obelics", "sample"]


@pytest.mark.parametrize("name", presets())
def test_a_preset_loads_and_survives_being_written_out(name):
    config = load_config(name)
    plain = resolved(config)
    assert build_config(plain, "again") == config
    assert resolved(build_config(plain, "again")) == plain
    assert set(plain) == {field.name for field in dataclasses.fields(Config)}
    assert digest_of(plain) == digest_of(resolved(load_config(name)))


def test_presets_differ():
    digests = {digest_of(resolved(load_config(name))) for name in presets()}
    assert len(digests) == len(presets())


def test_an_extended_preset_keeps_what_it_does_not_say():
    core, base = load_config("mmc4-core"), load_config("mmc4")
    changed = {"filter_placed", "join_images"}
    for field in dataclasses.fields(Config):
        same = getattr(core, field.name) == getattr(base, field.name)
        assert same is (field.name not in changed), field.name
    assert (base.join_images.max_hamming, core.join_images.max_hamming) == (5, 10)
    sample = load_config("sample")
    assert sample.filter_pages == load_config("obelics").filter_pages
    assert sample.clip == ClipConfig()
    assert sample.deduplicate.paragraphs.min_count == 3  # of OBELICS, merged key by key
    assert sample.deduplicate.paragraphs.count == "documents"


# --- Files ------------------------------------------------------------------------------------


def test_a_file_with_nothing_but_the_method_is_all_defaults(written):
    config = load_config(written(NATURAL))
    assert config == Config(place_images=PlaceConfig(Method.DOM))


def test_sections_that_are_empty_are_defaults(written):
    text = NATURAL + "filter_pages: null\nfilter_text:\nread:\nrun: {}\ndeduplicate: null\n"
    assert load_config(written(text)) == load_config(written(NATURAL, "other.yaml"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "the empty value"),
        ("# nothing\n", "the empty value"),
        ("- status\n", "the list"),
        ("hello\n", "the text"),
        ("7\n", "the number"),
    ],
)
def test_a_file_that_is_no_mapping(written, text, kind):
    path = written(text)
    refused(lambda: load_config(path), path, f"a config is a mapping of sections, not {kind}")


def test_a_file_that_cannot_be_read(written, tmp_path):
    path = written("filter_pages: [status\n")
    refused(lambda: load_config(path), path, "is not YAML")
    path = written("filter_pages: {status: {allowed: [1]}, status: {}}\n")
    refused(lambda: load_config(path), path, "is not YAML", "the key 'status' stands twice")
    path = written("write: {shards: 1}\nwrite: {shards: 2}\n")
    refused(lambda: load_config(path), path, "the key 'write' stands twice", "line 1")
    (tmp_path / "latin.yaml").write_bytes(b"read: {}\n# caf\xe9\n")
    path = str(tmp_path / "latin.yaml")
    refused(lambda: load_config(path), path, "cannot be read")
    known = "no preset of that name (extract, mmc4, mmc4-core, obelics, sample)"
    refused(lambda: load_config("nothing.yaml"), "nothing.yaml: no such file, and", known)
    refused(lambda: load_config(str(tmp_path)), str(tmp_path))


# --- Extending --------------------------------------------------------------------------------


def test_mappings_are_merged_and_lists_replaced(written):
    written(
        NATURAL
        + "filter_pages: [status, mime]\n"
        + "write: {shards: 3, image_bytes: false}\n"
        + "filter_text: {paragraphs: [word_count], spared: [code]}\n",
        "base.yaml",
    )
    path = written(
        "extends: base.yaml\n"
        "filter_pages: [status]\n"
        "write: {image_bytes: true}\n"
        "filter_text: {paragraphs: null}\n"
    )
    config = load_config(path)
    assert config.filter_pages == (Status(),)
    assert (config.write.shards, config.write.image_bytes) == (3, True)
    assert config.filter_text.paragraphs == ()
    assert config.filter_text.spared == ("code",)
    assert config.place_images.method is Method.DOM


def test_a_chain_and_a_preset_are_extended(written):
    written("extends: obelics\nwrite: {shards: 5}\n", "middle.yaml")
    config = load_config(written("extends: middle.yaml\ndeduplicate: null\n"))
    assert config.write.shards == 5
    assert config.deduplicate is None
    assert config.filter_pages == load_config("obelics").filter_pages


def test_extending_nothing_is_no_extension(written):
    assert load_config(written("extends: null\n" + NATURAL)) == load_config(
        written(NATURAL, "other.yaml")
    )


def test_a_section_may_be_turned_off_by_the_extending_file(written):
    off = "gather_images: null\nclip: null\nheads: null\ndeduplicate_by_images: null\n"
    config = load_config(written(f"extends: obelics\n{off}"))
    assert (config.gather_images, config.clip, config.heads) == (None, None, {})


def test_configs_that_extend_each_other(written, tmp_path):
    path = written("extends: my.yaml\n")
    refused(lambda: load_config(path), path, "extends", "extends this file in turn")
    path = written("extends: b.yaml\n", "a.yaml")
    written("extends: a.yaml\n", "b.yaml")
    refused(lambda: load_config(path), "b.yaml: extends: ", "a.yaml", "extends this file in turn")


def test_files_of_one_name_in_two_folders_are_two(written, tmp_path):
    (tmp_path / "team" / "mine").mkdir(parents=True)
    written(NATURAL, "base.yaml")
    (tmp_path / "team" / "base.yaml").write_text("extends: ../base.yaml\nwrite: {shards: 2}\n")
    path = tmp_path / "team" / "mine" / "base.yaml"
    path.write_text("extends: ../base.yaml\nwrite: {image_bytes: false}\n")
    config = load_config(str(path))
    assert (config.write.shards, config.write.image_bytes) == (2, False)
    assert config.place_images.method is Method.DOM


def test_a_base_that_is_not_there_or_no_name(written):
    path = written("extends: nothing\n")
    refused(lambda: load_config(path), path, "extends: nothing: no such file")
    path = written("extends: [obelics]\n")
    refused(lambda: load_config(path), path, "extends: must be the name of a config, not the list")


# --- Mistakes in sections and rules -----------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("filter_page: []", ["filter_page: unknown key; known here: opt_out_lists, read"]),
        ("write: {shard: 3}", ["write.shard: unknown key; known here: shards, image_bytes"]),
        ("true: 1", ["True: unknown key"]),
        ("write: {shards: '3'}", ["write.shards: must be a whole number, not the text '3'"]),
        ("write: {shards: true}", ["write.shards: must be a whole number, not the truth value"]),
        ("write: {shards: 3.0}", ["write.shards: must be a whole number, not the number 3.0"]),
        ("write: {image_bytes: 1}", ["write.image_bytes: must be true or false, not the number 1"]),
        ("write: {image_bytes: null}", ["write.image_bytes: must be true or false, not the empty"]),
        ("write: {shards: 0}", ["write: shards is 0, not in 1..100000"]),
        ("write: [1]", ["write: must be a mapping, not the list [1]"]),
        (
            "run: {max_failure_ratio: true}",
            ["run.max_failure_ratio: must be a number, not the t"],
        ),
        ("run: {max_failure_ratio: .nan}", ["run: max_failure_ratio is nan, not in 0..1"]),
        ("clip: {model: 7}", ["clip.model: must be a text, not the number 7"]),
        (
            "clip: {precision: fp16}",
            ["clip.precision: must be one of fp32, bf16, int8, not the text"],
        ),
        (
            "place_images: {method: bert}",
            ["place_images.method: must be one of dom, max, greedy, clip, hybrid, ordered, not"],
        ),
        ("filter_pages: {status: {}}", ["filter_pages: must be a list of rules, not the mapping"]),
        ("filter_pages: [7]", ["filter_pages: must be a rule: a name, or a name and its fields"]),
        ("filter_pages: [{status: {}, mime: {}}]", ["filter_pages: must be a rule"]),
        ("filter_pages: [stats]", ["filter_pages: no rule 'stats'; known here: body_size, has_im"]),
        ("filter_pages: [word_count]", ["filter_pages: no rule 'word_count'"]),
        ("filter_pages: [{status: {allow: [1]}}]", ["filter_pages.status.allow: unknown key"]),
        ("filter_pages: [{status: [200]}]", ["filter_pages.status: must be a mapping, not the li"]),
        (
            "filter_pages: [{status: {allowed: 200}}]",
            ["filter_pages.status.allowed: must be a list, not the number 200"],
        ),
        (
            "filter_pages: [{status: {allowed: [200, '404']}}]",
            ["filter_pages.status.allowed[1]: must be a whole number, not the text '404'"],
        ),
        ("filter_images: {decoded: [blank], scored: [status]}", ["filter_images.scored: no rule"]),
        ("filter_placed: [text_present]", ["filter_placed: no rule 'text_present'"]),
        ("heads: {a: {unwanted: [a], wanted: [b]}}", ["heads: the scores come from CLIP features"]),
        ("heads: {a: {unwanted: [a]}}", ["heads.a: prompts need at least one"]),
        ("heads: {a: {file: /none}}", ["heads.a: there is no file /none"]),
        ("heads: [a]", ["heads: must be a mapping of names"]),
        ("clip: {}\nheads: {A-b: {unwanted: [a], wanted: [b]}}", ["heads: 'A-b' is no name"]),
    ],
)
def test_a_mistake_is_told_with_file_and_key(written, text, parts):
    path = written(text if "place_images" in text else f"{NATURAL}{text}\n")
    refused(lambda: load_config(path), f"{path}: {parts[0]}", *parts[1:])


def test_a_rule_may_be_a_name_or_a_name_and_fields(written):
    path = written(NATURAL + "filter_pages: [status, mime:, {status: {allowed: [200, 404]}}]\n")
    assert load_config(path).filter_pages == (Status(), Mime(), Status(allowed=(200, 404)))


def test_a_whole_number_is_a_number_and_becomes_one(written):
    config = load_config(written(NATURAL + "run: {max_failure_ratio: 1}\n"))
    assert type(config.run.max_failure_ratio) is float


def test_a_name_of_two_kinds_is_that_of_the_list(written):
    path = written(
        NATURAL
        + "filter_text: {documents: [word_count, image_count]}\n"
        + "filter_documents: [image_count]\nfilter_placed: [image_count]\n"
    )
    config = load_config(path)
    assert config.filter_text.documents == (WordCount(), ImageCount())
    assert [type(rule).on for rule in config.filter_text.documents] == [On.TEXT, On.DOCUMENT]
    assert type(config.filter_documents[0]).on is On.DOCUMENT
    assert type(config.filter_placed[0]).on is On.PLACED


def test_comparing_images_needs_them(written):
    dom = "place_images: {method: dom}\n"
    for text, message in (
        ("deduplicate_by_images: {image_set: {}}\n", "gather_images must be set"),
        ("deduplicate_images: {}\ngather_images: {}\n", "gather_images and clip must be set"),
        ("filter_images: {embedded: [blank]}\n", "clip must be set"),
    ):
        path = written(dom + text)
        refused(lambda path=path: load_config(path), path, message)
    empty = written(dom + "gather_images: {}\ndeduplicate_by_images: {}\n")
    refused(lambda: load_config(empty), empty, "deduplicate_by_images: set image_set or joint")


def test_placing_by_a_model_needs_the_model_and_images(written):
    for text in ("write: {}\n", "clip: {}\n", "gather_images: {}\n"):
        path = written(text)
        message = "place_images: method clip needs gather_images and clip"
        refused(lambda path=path: load_config(path), path, message, "use method: dom")
    assert load_config(written("clip: {}\ngather_images: {}\n")).place_images.method == "clip"


# --- --set ------------------------------------------------------------------------------------


def test_values_are_yaml_and_later_ones_win():
    config = load_config(
        "extract",
        [
            "write.shards=3",
            "write.shards=7",
            "write.image_bytes=false",
            "run.max_failure_ratio=0.5",
            "filter_pages=[status]",
            "place_images.min_similarity=null",
        ],
    )
    assert (config.write.shards, config.write.image_bytes) == (7, False)
    assert config.run.max_failure_ratio == 0.5
    assert config.filter_pages == (Status(),)
    assert config.place_images.min_similarity is None


def test_a_section_that_is_null_is_made():
    config = load_config("extract", ["deduplicate.paragraphs.min_count=4"])
    assert config.deduplicate.paragraphs.min_count == 4
    assert load_config("obelics", ["deduplicate=null"]).deduplicate is None


def test_the_field_of_a_rule_in_a_list(written):
    path = written(NATURAL + "filter_pages: [status, {mime: {allowed: [text/html]}}, body_size:]\n")
    config = load_config(
        path,
        [
            "filter_pages.status.allowed=[200, 203]",
            "filter_pages.mime.allowed=[text/plain]",
            "filter_pages.body_size.min_bytes=5",
        ],
    )
    status, mime, size = config.filter_pages
    assert status == Status(allowed=(200, 203))
    assert mime == Mime(allowed=("text/plain",))
    assert size.min_bytes == 5
    deep = load_config("obelics", ["filter_text.documents.language.min_score=0.25"])
    assert deep.filter_text.documents[0].min_score == 0.25


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("write.shards", "--set write.shards: write section.key=value"),
        ("=1", "--set =1: write section.key=value"),
        ("write.shards=[", "--set write.shards=[: the value is not YAML"),
        ("write.shards=x", "mine: write.shards: must be a whole number, not the text 'x'"),
        ("wrote.shards=1", "mine: wrote: unknown key"),
        ("filter_pages.statuses.allowed=[1]", "the list has no rule 'statuses'"),
        ("filter_pages.status=[1]", "name the field of the rule: filter_pages.status.FIELD=value"),
        ("filter_pages.status.allow=[1]", "mine: filter_pages.status.allow: unknown key"),
        ("place_images.method.x=1", "--set place_images.method.x=1: place_images.method has no"),
        ("place_images.method=clip", "mine: place_images: method clip needs gather_images"),
    ],
)
def test_an_assignment_that_is_wrong(written, assignment, message):
    path = written(NATURAL + "filter_pages: [status]\n")
    refused(lambda: load_config(path, [assignment]), message.replace("mine", path))


def test_a_rule_with_a_value_in_the_place_of_fields(written):
    path = written(NATURAL + "filter_pages: [status: ok]\n")
    assignment = "filter_pages.status.allowed=[1]"
    refused(
        lambda: load_config(path, [assignment]),
        f"--set {assignment}: status: must be the fields of the rule, not the text 'ok'",
    )


# --- Digests ----------------------------------------------------------------------------------


def test_the_digest_sees_every_value_and_no_order():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
    some = [load_config("extract", [s]) for s in ("write.shards=1", "write.shards=2")]
    assert digest_of(resolved(some[0])) != digest_of(resolved(some[1]))


def test_a_cheap_rule_rejects_no_more_icons_than_the_extraction():
    rules = {"place_images": {"method": "dom"}, "extract": {"min_side": 32}}
    rules["filter_pages"] = ["has_image"]
    with pytest.raises(UserError, match=r"has_image: min_side is 64, more than extract\.min_side"):
        build_config(rules, "x.yaml")
    rules["filter_pages"] = [{"has_image": {"min_side": 32}}]
    build_config(rules, "x.yaml")
