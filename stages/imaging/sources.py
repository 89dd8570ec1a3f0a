"""Where an image may lie at hand: the sources that are asked before the web.

A source lists its images as places, which are joined with the references by URL
(`stages.locate_images`), and reads one when its turn comes. Sources are tried in the order in which
a config lists them: the crawl, stores of earlier runs, archives. A further kind is a class more.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from schemas.consent import Consent
from schemas.image import ImageLocation
from stages.imaging.refusal import Reason, Refused, of_status
from stages.warc.payload import Headers, PayloadError, PayloadTooLarge
from stages.warc.reader import Record, read_record_at
from stages.warc.window import Damaged

Check = Callable[[Headers], None]


class Payload(NamedTuple):
    """The bytes that an image URL led to, and what came with them.

    Attributes:
      headers: names in lower case, in order; consent is read from them.
      source: where the bytes came from in the first place, as `ImageRecord.source` has it.
      url: under which they were found in the end, where that is another than was asked for.
      consent: what the site said to robots when they were fetched.
    """

    data: bytes
    headers: Headers
    status: int
    source: str
    url: str = ""
    consent: tuple[Consent, ...] = ()


class Source(ABC):
    """Images in files. An instance is small and pickles: workers get copies.

    Attributes:
      name: what `ImageLocation.source` of its places says.
    """

    name: ClassVar[str]

    @abstractmethod
    def files(self) -> Iterable[str]:
        """The paths of its files."""

    @abstractmethod
    def places(self, path: str) -> Iterator[ImageLocation]:
        """The images of one file; `offset` says in which order they are read best."""

    @abstractmethod
    def read(self, place: ImageLocation, max_bytes: int, check: Check) -> Payload:
        """The image at one of its places.

        Args:
          check: is given the headers first, and raises `Refused` where the owner said no.

        Raises:
          Refused: there is none, it has more than `max_bytes`, or `check` said so.
          OSError: the file cannot be read.
        """


ReadRecord = Callable[[str, int, int, int], Record]


@dataclass(frozen=True)
class Crawl(Source):
    """Image records of the WARCs that are being read; the extract phase has listed them.

    Attributes:
      read_record: reads a record, given path, offset, inner offset and the most bytes.
    """

    name: ClassVar[str] = "warc"
    read_record: ReadRecord = read_record_at

    def files(self) -> Iterable[str]:
        return ()

    def places(self, path: str) -> Iterator[ImageLocation]:
        return iter(())

    def read(self, place: ImageLocation, max_bytes: int, check: Check) -> Payload:
        try:
            record = self.read_record(place.path, place.offset, place.inner_offset, max_bytes)
            check(record.headers)
            status = 200 if record.status is None else record.status  # a resource record has none
            if not 200 <= status < 300:
                raise Refused(of_status(status), str(status))
            data = record.payload
        except Damaged as error:
            raise Refused(Reason.DAMAGED_RECORD, str(error)) from error
        except PayloadTooLarge as error:
            raise Refused(Reason.TOO_LARGE, str(error)) from error
        except PayloadError as error:
            raise Refused(Reason.CONTENT_CODING, str(error)) from error
        if len(data) > max_bytes:
            raise Refused(Reason.TOO_LARGE, f"{len(data)} bytes")
        return Payload(data, record.headers, status, self.name)


def by_name(sources: Sequence[Source]) -> dict[str, Source]:
    """Raises:
    ValueError: two have one name.
    """
    named = {source.name: source for source in sources}
    if len(named) != len(sources):
        raise ValueError(f"two sources of one name: {[source.name for source in sources]}")
    return named
