import pytest

from schemas.document import Document, Image, Sentence, Text
from stages.sentences import split_sentences


def split(*nodes, language="en"):
    return split_sentences(Document("d", "http://a", nodes, language=language))


def test_each_sentence_knows_its_node():
    found = split(
        Text("The tower fell. Nobody was hurt."),
        Image("http://a/i"),
        Text("Dr. Grey came at 5.30 p.m. sharp!"),
    )
    assert found == (
        Sentence("The tower fell.", 0),
        Sentence("Nobody was hurt.", 0),
        Sentence("Dr. Grey came at 5.30 p.m. sharp!", 2),
    )


def test_sentences_are_stripped_and_none_is_empty():
    assert split(Text("  One.   Two.  \n"), Text(""), Text(" \n\t ")) == (
        Sentence("One.", 0),
        Sentence("Two.", 0),
    )


def test_a_document_without_text_has_no_sentence():
    assert split() == ()
    assert split(Image("http://a/i")) == ()


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("zh", "你好。再见。", ["你好。", "再见。"]),
        ("de", "Das kostet z. B. 5 Euro. Gut.", ["Das kostet z. B. 5 Euro.", "Gut."]),
        ("", "One fish. Two fish.", ["One fish.", "Two fish."]),
        ("xx", "One fish. Two fish.", ["One fish.", "Two fish."]),
        ("not a language", "One fish. Two fish.", ["One fish.", "Two fish."]),
    ],
)
def test_languages(language, text, sentences):
    assert [s.text for s in split(Text(text), language=language)] == sentences


def test_a_line_break_inside_a_node():
    found = [s.text for s in split(Text("A title\nThe first sentence. The second."))]
    assert " ".join(found).split() == ["A", "title", "The", "first", "sentence.", "The", "second."]
