import dataclasses

import pyarrow as pa
import pytest

from schemas.arrow import arrow_schema, from_row, to_row
from schemas.document import Document, Image, Role, Signal, Text
from schemas.image import ImageRecord, ImageScore
from schemas.outcome import Failure, Kind, Rejection

RECORD = ImageRecord("ab" * 32, "http://a/i.png", "png", 3, 4, 5, "0" * 16, nsfw=0.25)
SCORED = dataclasses.replace(
    RECORD, nsfw=None, scores=(ImageScore("blank", 1.5),), clip=b"\x00\xff"
)
ELEMENTS = [
    Document("d", "http://a"),
    Document(
        "e",
        "http://b",
        (
            Text("Überschrift \U0001f600", Role.HEADING),
            Image("http://a/i.png", ("http://a/j.png",), width=7, record=RECORD),
            Text(""),
            Image("http://a/k.png", record=SCORED),
        ),
        signals=(Signal("language", 0.5),),
        cluster_size=3,
    ),
    Rejection("d#1", Kind.NODE, "d", "http://a", "s", "r", "why", None, "x"),
    Failure("d", Kind.PAGE, "http://a", "s", "ValueError()", "a.py:1 f", "w.warc", 12),
    RECORD,
    SCORED,
]


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda e: type(e).__name__)
def test_round_trip_through_arrow(element):
    batch = pa.RecordBatch.from_pylist([to_row(element)], schema=arrow_schema(type(element)))
    assert from_row(type(element), batch.to_pylist()[0]) == element


def test_a_lone_surrogate_does_not_cost_the_row():
    row = to_row(Document("d", "http://a/\udce4"))
    assert row["url"] == "http://a/?"
    pa.RecordBatch.from_pylist([row], schema=arrow_schema(Document))


def test_an_unsupported_field_names_its_type():
    @dataclasses.dataclass(frozen=True)
    class Odd:
        things: dict

    with pytest.raises(TypeError, match="dict"):
        arrow_schema(Odd)
