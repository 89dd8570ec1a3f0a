"""Writes the sample crawl: a few WARC files of invented pages, and what must come out of them.

    python scripts/make_sample_crawl.py OUT_DIR

writes about 230 pages of nine invented hosts with drawn pictures as WARC files, and `gold.json`
with the expectation for every page and image (`scripts.sample_crawl.gold`). The same arguments give
the same bytes. All hosts end in ``.example``, which no one can register (RFC 2606).
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

# The script is run by its path, so the repository root is not on the module path yet.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.sample_crawl.build import build
from scripts.sample_crawl.gold import make_gold
from scripts.sample_crawl.warcs import write


def make(out: Path, seed: str = "sample", ordinary_per_site: int = 20) -> None:
    """Writes the WARC files and gold.json into a folder, which is made if it is not there."""
    out.mkdir(parents=True, exist_ok=True)
    crawl = build(seed, ordinary_per_site)
    written = write(crawl, out)
    gold = json.dumps(make_gold(crawl, written), indent=1, ensure_ascii=False) + "\n"
    (out / "gold.json").write_text(gold, encoding="utf-8")


def main(
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    seed: Annotated[str, typer.Option(help="Another seed gives another crawl.")] = "sample",
    ordinary_per_site: Annotated[
        int, typer.Option(min=8, help="Ordinary pages of each site; special ones are added.")
    ] = 20,
) -> None:
    make(out, seed, ordinary_per_site)
    for path in sorted(out.iterdir()):
        typer.echo(f"{path.stat().st_size:>10,} {path.name}")


if __name__ == "__main__":
    typer.run(main)
