import apache_beam as beam
from apache_beam.testing.util import assert_that, equal_to

from schemas.image import ImageReference
from stages.count_references import CountReferences


def test_documents_are_counted_once_each(beam_pipeline):
    shown = [("u", "1"), ("u", "1"), ("u", "2"), ("v", "1"), ("v", "1"), ("u 1", "")]
    with beam_pipeline as p:
        out = p | beam.Create(shown) | CountReferences()
        assert out.element_type is ImageReference
        expected = [ImageReference("u", 2), ImageReference("v", 1), ImageReference("u 1", 1)]
        assert_that(out, equal_to(expected))


def test_nothing_in_nothing_out(beam_pipeline):
    with beam_pipeline as p:
        out = p | beam.Create([]).with_output_types(tuple[str, str]) | CountReferences()
        assert_that(out, equal_to([]))
