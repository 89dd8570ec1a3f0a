"""The formats that a corpus can be exported to. A new one is a module and a line here."""

from pipeline.export.chat import Chat
from pipeline.export.mmc4 import Mmc4
from pipeline.export.obelics import Obelics
from pipeline.export.packed import Packed
from pipeline.export.pairs import Pairs
from pipeline.export.shard import Format
from pipeline.export.text import Text
from pipeline.export.webdataset import Mint, WebDataset

FORMATS: dict[str, type[Format]] = {
    format.name: format for format in (Mmc4, Obelics, WebDataset, Mint, Pairs, Text, Chat, Packed)
}
