"""mmc4's JSON lines, and the images.

``docs_shard_K.jsonl`` holds a document a line with mmc4's fields and no others (allenai/mmc4,
README, "Documents"). Rows of the matrix and entries of `image_info` are sorted by sentence:
open_flamingo counts images by row and places by sentence, so that it pairs an image with another's
sentence where the two orders differ (open_flamingo/train/data.py, `preprocess_interleaved`).

open_flamingo/scripts/convert_mmc4_to_wds.py takes the lines zipped, as mmc4 publishes them, and the
images of shard K unpacked in folder K.

mmc4 has no place for an image that matches no sentence: such images are left out and counted.
`could_have_url_duplicate` is 0, for one document of a URL stays in a corpus. `face_detections` is
null: weft looks for no faces.
"""

import zipfile
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pipeline.export.order import matched
from pipeline.export.shard import Format, Needs, Shard, file_name, json_line


@dataclass(frozen=True)
class Mmc4(Format):
    """Attributes:
    images: beside the lines, as images_shard_K.tar or .zip, under the `image_name` of the lines.
    """

    name: ClassVar[str] = "mmc4"
    images: Literal["none", "tar", "zip"] = "tar"

    @property
    def needs(self) -> Needs:
        return Needs.FACTS if self.images == "none" else Needs.BYTES

    def write(self, shard: Shard) -> None:
        shown: list[str] = []
        with shard.open(f"docs_shard_{shard.number}.jsonl") as output:
            for row in shard.documents():
                line = mmc4_line(row, shard)
                shown += [row["image_info"][i]["image_id"] for i in matched(row)]
                output.write(json_line(line))
        ids = [image_id for image_id in shown if image_id]
        if self.images == "tar":
            shard.tar_of_images(f"images_shard_{shard.number}.tar", ids)
        elif self.images == "zip":
            _zip_of_images(shard, f"images_shard_{shard.number}.zip", ids)


def mmc4_line(row: dict[str, Any], shard: Shard) -> dict[str, Any]:
    infos = row["image_info"]
    placed = matched(row)
    shard.counts["image places"] += len(placed)
    shard.counts["images without a sentence, left out"] += len(infos) - len(placed)
    matrix = row["similarity_matrix"]
    return {
        "url": row["url"],
        "text_list": row["text_list"],
        "image_info": [_image(infos[i], shard) for i in placed],
        "similarity_matrix": [matrix[i] for i in placed] if matrix else [],
        "could_have_url_duplicate": 0,
    }


def _image(info: dict[str, Any], shard: Shard) -> dict[str, Any]:
    picture = shard.picture(info)
    return {
        "image_name": file_name(info["image_id"], picture) if picture else "",
        "raw_url": info["url"],
        "matched_text_index": info["matched_text_index"],
        "matched_sim": info["matched_sim"],
        "face_detections": None,
    }


def _zip_of_images(shard: Shard, name: str, ids: list[str]) -> None:
    with (
        shard.open(name) as output,
        zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive,
    ):
        for image_id in dict.fromkeys(ids):
            picture = shard.pictures.get(image_id)
            if picture is not None and picture.data is not None:
                # ZipInfo without a date is of 1980, so that bytes depend on contents only.
                member = zipfile.ZipInfo(file_name(image_id, picture))
                archive.writestr(member, picture.data)
                shard.counts["images"] += 1
