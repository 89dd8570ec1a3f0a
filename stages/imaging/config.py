"""How images are gathered: where from, within which limits, with whose leave."""

from dataclasses import dataclass, field, replace

from stages import files
from stages.imaging.archives import Archives, archives_of
from stages.imaging.decode import DecodeLimits
from stages.imaging.encode import EncodeConfig
from stages.imaging.fetched import FOLDER, Store
from stages.imaging.http_client import HttpConfig
from stages.imaging.opt_out import OptOutPolicy
from stages.imaging.sources import Crawl, Source


@dataclass(frozen=True)
class GatherConfig:
    """How images are gathered.

    Attributes:
      http: how the web is asked, if at all.
      decode: what an image may be.
      opt_out: what its owner's headers may say.
      stores: folders of earlier corpora, or of their image stores (`_work/fetched`); what lies
        there is not fetched again, nor what was found not to be there.
      webdataset: tars and Parquet files that img2dataset wrote, images tables of corpora
        (``corpus/images``), or folders of them; looked into by URL after the crawl and the stores.
      max_bytes: a longer image is not taken.
      re_encode: how images are stored anew; null keeps the original bytes with all metadata.
    """

    http: HttpConfig = field(default_factory=HttpConfig)
    decode: DecodeLimits = field(default_factory=DecodeLimits)
    opt_out: OptOutPolicy = field(default_factory=OptOutPolicy)
    stores: tuple[str, ...] = ()
    webdataset: tuple[str, ...] = ()
    max_bytes: int = 16 * 1024 * 1024
    re_encode: EncodeConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stores", tuple(self.stores))
        if self.max_bytes < 1:
            raise ValueError(f"gather: max_bytes is {self.max_bytes}, below 1")
        for path in self.stores:
            store_folder(path)
        object.__setattr__(self, "webdataset", tuple(self.webdataset))
        for path in self.webdataset:
            archives_of(path)

    @property
    def limits(self) -> DecodeLimits:
        """`decode`, with as many pixels left as are stored anew."""
        stored = self.re_encode.max_side if self.re_encode else 0
        return replace(self.decode, reduced_side=max(self.decode.reduced_side, stored))

    @property
    def sources(self) -> tuple[Source, ...]:
        """What is asked before the web, in order."""
        stores = tuple(store_folder(path) for path in self.stores)
        return (Crawl(), Store(stores), Archives(self.webdataset))


def store_folder(path: str) -> str:
    """The image store that a setting names.

    Raises:
      ValueError: there is none.
    """
    for folder in (files.join(path, "_work", FOLDER), path):
        if any(True for _ in files.listed(folder, "*/*.parquet")):
            return folder
    raise ValueError(
        f"stores: {path} holds no image store: name a folder that weft run wrote with "
        "gather_images.http.enabled, or its _work/fetched"
    )
