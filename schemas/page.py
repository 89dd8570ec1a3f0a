"""What is read: one HTTP response of a crawl, before anything was parsed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """An HTTP response whose body may be an HTML page.

    Attributes:
      page_id: 32 hex digits, a hash of where the record lies; the id of the document made of it.
      url: the target URI of the record, as the crawler wrote it.
      warc_file: name of the WARC, relative to the root of the run's inputs.
      warc_offset: byte offset of the record (of its gzip member, where it has one).
      warc_length: stored bytes of the record, 0 where unknown.
      crawl_time: WARC-Date as ISO 8601, e.g. ``2024-05-18T09:30:00Z``.
      status: HTTP status code.
      mime: media type in lower case without parameters; the identified payload type wins over the
        Content-Type header, as in Common Crawl's index.
      headers: HTTP headers in order, names in lower case.
      body: payload with transfer and content coding undone.
      truncated: the WARC-Truncated reason, or empty.
    """

    page_id: str
    url: str
    warc_file: str
    warc_offset: int
    warc_length: int
    crawl_time: str
    status: int
    mime: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: str = ""

    def header(self, name: str) -> str:
        """The values of every header called `name` (lower case), joined by a comma."""
        return ", ".join(value for key, value in self.headers if key == name)
