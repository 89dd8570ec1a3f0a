"""PIN's Markdown with images: ``pin-K.jsonl``, and the images of ``content_image/`` as a tar.

Source: PIN, arXiv:2406.13923v3, section 3.1.2: the keys and their types, the folder content_image,
images as ``<img>`` tags in the order of `content_image`. weft renders no pages, so `oi_exist` is
false; not verified is what `oi_source` and `overall_image` hold then (here null). `ori_meta`, which
is each source's own, has the page and, as `content_image` has them, what it said of the images.
What the page wrote is escaped, so that it makes no headings, links or images of its own.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pipeline.export.order import Order, flow
from pipeline.export.shard import Format, Needs, Shard, file_name, json_line
from schemas.document import Role

_SPECIAL = re.compile(r"([\\`*_\[\]<>!|~])")
# At the beginning of a line: headings, lists, quotes, rules.
_AT_START = re.compile(r"^(\s*\d*)([#+=.)-])", re.MULTILINE)
_BEFORE = {
    Role.HEADING: "## ",
    Role.LIST_ITEM: "- ",
    Role.QUOTE: "> ",
}


@dataclass(frozen=True)
class Pin(Format):
    """Attributes:
    images: beside the lines, as images-K.tar.
    """

    name: ClassVar[str] = "pin"
    images: Literal["none", "tar"] = "tar"

    @property
    def needs(self) -> Needs:
        return Needs.FACTS if self.images == "none" else Needs.BYTES

    def write(self, shard: Shard) -> None:
        shown: list[str] = []
        number = shard.start
        with shard.open(f"pin-{shard.part}.jsonl") as output:
            for row in shard.documents():
                names, infos, md = _markdown(row, shard)
                shown += [info["image_id"] for info in infos]
                line = {
                    "id": number,
                    "meta": {
                        "language": row["language"],
                        "doc_id": row["doc_id"],
                        "page_id": None,
                        "oi_exist": False,
                        "oi_source": None,
                        "source_dataset": "weft",
                        "ori_meta": {
                            "document_url": row["url"],
                            "title": row["title"],
                            "images": [
                                {"url": info["url"], "alt": info["alt"], "caption": info["caption"]}
                                for info in infos
                            ],
                        },
                        "date_download": row["crawl_time"][:10] or None,
                    },
                    "license": row["licence"] or None,
                    "quality_signals": {s["rule"]: s["score"] for s in row["signals"]},
                    "content_image": names,
                    "md": md,
                    "overall_image": None,
                }
                output.write(json_line(line))
                number += 1
        if self.images == "tar":
            shard.tar_of_images(f"images-{shard.part}.tar", shown, "content_image/")


def _markdown(row: dict[str, Any], shard: Shard) -> tuple[list[str], list[dict[str, Any]], str]:
    """The images' paths and entries of `image_info`, and the text."""
    names: list[str] = []
    infos: list[dict[str, Any]] = []
    blocks = []
    roles = iter(row["roles"])
    for part in flow(row, Order.NATURAL):
        role = next(roles)
        if isinstance(part, str):
            blocks.append(_block(part, role))
            continue
        picture = shard.picture(part)
        if picture is None:
            shard.counts["image places without a file, left out"] += 1
            continue
        shard.counts["image places"] += 1
        infos.append(part)
        names.append(f"content_image/{file_name(part['image_id'], picture)}")
        blocks.append(f"<img src='{names[-1]}'>")
    return names, infos, "\n\n".join(blocks)


def _block(text: str, role: str) -> str:
    if role == Role.CODE:
        ticks = max((len(run) for run in re.findall("`+", text)), default=0)
        fence = "`" * max(3, ticks + 1)
        return f"{fence}\n{text}\n{fence}"
    before = _BEFORE.get(Role(role), "")
    text = escaped(text)
    return before + (" ".join(text.split()) if before else text)


def escaped(text: str) -> str:
    """Text that Markdown takes literally."""
    return _AT_START.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", text))
