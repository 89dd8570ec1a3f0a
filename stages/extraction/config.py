"""What the extraction may be told."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ExtractionConfig:
    """Limits and choices of the extraction.

    Attributes:
      engine: how the main content is found: "accurate" by trafilatura's rules on a tree,
        "fast" by simpler ones on the tags as they are written, in a fraction of the time.
      require_image: reject a page that shows no content image.
      max_body_bytes: longer bodies are refused before they are decoded.
      max_elements: pages with more elements are refused: the time for the main content grows faster
        than linearly with them. Source: the largest of the 401 real test pages has 11,533.
      max_depth: deeper trees are refused. libxml2 cuts a tree at 254 levels without a word, so a
        page that comes near has lost content already.
      max_nodes: documents with more nodes are refused.
      page_timeout_s: CPU seconds that a page may take; more is a failure. See limits.py.
      page_memory_mb: memory that a page may take; more is a failure. Both hold for pages that could
        take long (many tags, many bytes, a very long tag); all others cannot come near.
      preferred_width: of the candidates of a srcset, the narrowest that is at least this wide is
        taken (CSS pixels), else the widest: pictures wider than this only cost bandwidth.
      min_side: an image whose larger declared side is below this is left out as an icon (a narrow
        plate is not). Chosen by hand, below the 150 pixels that OBELICS asks of the real image:
        what a page declares is often a thumbnail, and later rules see the real size.
    """

    engine: Literal["accurate", "fast"] = "accurate"
    require_image: bool = False
    max_body_bytes: int = 10_000_000
    max_elements: int = 30_000
    max_depth: int = 250
    max_nodes: int = 10_000
    page_timeout_s: int = 30
    page_memory_mb: int = 2_000
    preferred_width: int = 1_600
    min_side: int = 64

    def __post_init__(self) -> None:
        if self.engine not in ("accurate", "fast"):
            raise ValueError(f"extraction: no engine is called {self.engine!r}")
        for name in (
            "max_body_bytes",
            "max_elements",
            "max_depth",
            "max_nodes",
            "page_timeout_s",
            "page_memory_mb",
            "preferred_width",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"extraction: {name} is {getattr(self, name)}, less than 1")
        if self.min_side < 0:
            raise ValueError(f"extraction: min_side is {self.min_side}, less than 0")
