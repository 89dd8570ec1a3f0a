import json
import re

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.corpus import open_corpus
from pipeline.errors import UserError
from pipeline.show import find_document, images_of, marked, pieces, thumbnail
from tests.pipeline.drafts import BLUE, BYTES, RED, png

FIRST, SECOND, THIRD = (f"{i:032x}" for i in (1, 2, 3))


def test_the_default_is_the_first_document_with_the_most_images(corpus):
    assert find_document(open_corpus(str(corpus)))["doc_id"] == FIRST


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(THIRD, THIRD), ("https://a.example/two", SECOND)],
)
def test_by_id_or_url(corpus, wanted, found):
    assert find_document(open_corpus(str(corpus)), wanted)["doc_id"] == found


def test_by_a_prefix_of_only_one_id(tmp_path, draft):
    draft.documents[2]["doc_id"] = "AB".lower() * 16
    draft.write(tmp_path)
    assert find_document(open_corpus(str(tmp_path)), "aBa")["doc_id"] == "ab" * 16


def test_by_a_prefix_of_many(corpus):
    with pytest.raises(UserError, match=f"000: 3 documents are so called: {FIRST}, {SECOND}"):
        find_document(open_corpus(str(corpus)), "000")


def test_near_ids_are_named(corpus):
    wrong = THIRD[:-1] + "4"
    with pytest.raises(UserError, match=f"^{wrong}: no document of .* near it: {FIRST}, {SECOND}"):
        find_document(open_corpus(str(corpus)), wrong)


def test_near_urls_are_named(corpus):
    with pytest.raises(UserError, match=r"this URL; near it: https://b\.example/three, "):
        find_document(open_corpus(str(corpus)), "https://b.example/thre")


def test_no_documents_at_all(tmp_path, draft):
    draft.documents = []
    draft.write(tmp_path)
    with pytest.raises(UserError, match="has no documents"):
        find_document(open_corpus(str(tmp_path)))


def test_images_of_a_document(corpus):
    opened = open_corpus(str(corpus))
    rows = images_of(opened, find_document(opened, FIRST), ("format", "bytes"))
    assert {row["bytes"] for row in rows.values()} == {BYTES[RED], BYTES[BLUE]}


def shown(folder, *arguments):
    result = CliRunner().invoke(app, ["show", str(folder), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_reading_order_matches_and_provenance(corpus):
    out = shown(corpus)
    in_order = [
        "Two pictures\nhttps://a.example/one\n",
        f"{FIRST} · en 0.88 · 12 tokens · 4 sentences · 2 images · Ann Author\n",
        "\nTwo pictures\n",
        "A red square is here. [image 1]  It is red.\n",
        "┌ image 1  8×6  png  nsfw 0.250  ",
        f"│ url      {RED}\n│ alt      a red square\n│ caption  Fig. 1\n"
        "│ matched  0.750 “A red square is here.”\n└\n",
        "Then a blue one. [image 2]\n",
        "┌ image 2  8×6  png",
        "scores   word_count 12\n",
        "read     a.warc.gz at 100+99 · 2024-01-02T03:04:05Z\n",
    ]
    places = [out.find(part) for part in in_order]
    assert -1 not in places
    assert places == sorted(places)


def test_an_unplaced_image_is_said_to_be_so(corpus):
    assert "│ matched  no sentence: left unplaced\n" in shown(corpus, SECOND)


def test_json_is_the_row(corpus):
    row = json.loads(shown(corpus, SECOND, "--json"))
    assert row["texts"] == [None, "Nothing is matched here."]
    assert row["similarity_matrix"] == [[0.0625]]


def test_sentences_are_found_in_order_over_any_blanks():
    text = marked("Yes.  Yes.\nA b.", [("Yes.", []), ("Yes.", [2]), ("A b.", [1, 3])])
    assert text.plain == "Yes.  Yes. [image 2]\nA b. [image 1] [image 3]"
    assert [(s.start, s.end) for s in text.spans if s.style == "bold cyan"] == [(6, 10), (21, 25)]


HOSTILE = (
    "\x1b]0;owned\x07\x1b[2J\x9b31m \u202eevil\u202c \u2066x\u2069 [red]no markup[/] :smile: "
    "\x00\x08\x7f\u200b\U000e0041"
)
FORBIDDEN = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)


def make_hostile(draft):
    row = draft.documents[0]
    for name in ("title", "author", "site", "licence", "date"):
        row[name] = HOSTILE
    row["texts"][1] = HOSTILE
    row["text_list"][1] = HOSTILE
    row["url"] = "https://a.example/" + HOSTILE
    row["warc_file"] = HOSTILE
    row["signals"] = [{"rule": HOSTILE, "score": 1.0}]
    for name in ("alt", "title", "caption", "link", "url"):
        row["image_info"][0][name] = HOSTILE
    for rejection in draft.rejected:
        rejection |= {"detail": HOSTILE, "url": HOSTILE}
    draft.rejected[0]["rule"] = HOSTILE


@pytest.mark.parametrize(
    "command",
    [
        ["show"],
        ["show", "--json"],
        ["stats", "--samples", "5", "--check"],
        ["stats", "--samples", "5", "--json"],
        ["inspect", "--stats"],
        ["inspect", "--stats", "--json"],
        ["validate"],
        ["validate", "--json"],
    ],
)
@pytest.mark.parametrize("terminal", [False, True])
def test_text_of_the_web_plays_no_tricks(tmp_path, draft, command, terminal, monkeypatch):
    make_hostile(draft)
    draft.write(tmp_path)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    result = CliRunner().invoke(app, [command[0], str(tmp_path), *command[1:]])
    assert result.exit_code in (0, 1)
    assert isinstance(result.exception, SystemExit | None)
    # Colours of our own are the only sequences, and none of them moves or titles.
    plain = re.sub("\x1b\\[[0-9;]*m", "", result.stdout)
    assert plain
    assert not FORBIDDEN.search(plain)
    if command == ["show"]:
        assert "[red]no markup[/] :smile:" in plain
        assert "\x1b[31m " not in result.stdout


def test_matched_sentences_are_cut_out_over_any_blanks():
    found = pieces("Yes.  Yes.\nA b. End", [("Yes.", []), ("Yes.", [2]), ("A b.", [1, 3])])
    assert list(found) == [
        ("Yes.  ", []),
        ("Yes.", [2]),
        ("\n", []),
        ("A b.", [1, 3]),
        (" End", []),
    ]


def test_a_thumbnail_keeps_the_proportions():
    lines = thumbnail(png("red"), 8)
    assert [line.plain for line in lines] == ["▀" * 8] * 3
    assert str(lines[0].spans[0].style) == "#ff0000 on #ff0000"


def test_a_thumbnail_of_what_is_no_image():
    assert [line.plain for line in thumbnail(b"<html>", 8)] == ["(cannot be decoded)"]
