"""CoMM's samples: a title, and steps of texts and images.

``comm-K.pth`` is a list that ``torch.load(weights_only=True)`` reads. Source: HKUST-LongGroup/CoMM,
datasets/download_images.py, scripts/download_images.sh and models/MiniGPT-5/dataloader.py, which
look for an image at ``images/`` and its `image_path`; what was not stored has the SHA-256 of its
URL for a path, where download_images.py would put it. Not verified against a published file: which
values `dataset_type` has. A step begins at each heading of the page; what stands before the first
is `summary_info`. CoMM's loader leaves out documents whose steps show no image.
"""

import io
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pipeline.export.omnicorpus import sha256_of_url
from pipeline.export.shard import Format, Needs, Shard, file_name
from schemas.document import Role


@dataclass(frozen=True)
class Comm(Format):
    """Attributes:
    images: beside the samples, as images-K.tar, under images/ and the `image_path` of the samples.
    """

    name: ClassVar[str] = "comm"
    images: Literal["none", "tar"] = "tar"

    @property
    def needs(self) -> Needs:
        return Needs.FACTS if self.images == "none" else Needs.BYTES

    def write(self, shard: Shard) -> None:
        import torch

        samples = [_sample(row, shard) for row in shard.documents()]
        shard.counts["steps"] += sum(len(sample["step_info"]) for sample in samples)
        # A buffer: torch seeks in what it writes.
        buffer = io.BytesIO()
        torch.save(samples, buffer)
        with shard.open(f"comm-{shard.part}.pth") as output:
            output.write(buffer.getbuffer())
        if self.images == "tar":
            shown = [
                part["image_path"].partition(".")[0]
                for sample in samples
                for step in (sample["summary_info"], *sample["step_info"])
                for part in step
                if part["type"] == "image"
            ]
            shard.tar_of_images(f"images-{shard.part}.tar", shown, "images/")


def _sample(row: dict[str, Any], shard: Shard) -> dict[str, Any]:
    steps: list[list[dict[str, Any]]] = [[]]
    infos = iter(row["image_info"])
    for text, role in zip(row["texts"], row["roles"], strict=True):
        if role == Role.HEADING:
            steps.append([])
        if text is not None:
            steps[-1].append({"type": "text", "content": text})
            continue
        info = next(infos)
        picture = shard.picture(info)
        shard.counts["image places"] += 1
        path = file_name(info["image_id"], picture) if picture else sha256_of_url(info["url"])
        steps[-1].append({"type": "image", "url": info["url"], "image_path": path})
    return {
        "data_id": row["doc_id"],
        "dataset_type": "weft",
        "title": row["title"],
        "summary_info": steps[0],
        "step_info": steps[1:],
    }
