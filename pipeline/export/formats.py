"""The formats that a corpus can be exported to. A new one is a module and a line here."""

from pipeline.export.chat import Chat
from pipeline.export.comm import Comm
from pipeline.export.mmc4 import Mmc4
from pipeline.export.nemo import Nemo
from pipeline.export.obelics import Obelics
from pipeline.export.omnicorpus import OmniCorpus
from pipeline.export.packed import Packed
from pipeline.export.pairs import Pairs
from pipeline.export.pin import Pin
from pipeline.export.shard import Format
from pipeline.export.text import Text
from pipeline.export.webdataset import Mint, WebDataset

_ALL: tuple[type[Format], ...] = (
    Mmc4, Obelics, OmniCorpus, WebDataset, Mint, Comm, Nemo, Pin, Pairs, Text, Chat, Packed,
)  # fmt: skip
FORMATS = {format.name: format for format in _ALL}
