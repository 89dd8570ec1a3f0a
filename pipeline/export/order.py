"""Documents as a flow of texts and images."""

from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from typing import Any


class Order(StrEnum):
    """Where images stand.

    Attributes:
      NATURAL: where the page shows them; texts are the page's paragraphs.
      MATCHED: before the sentence they were matched with, as open_flamingo puts them; images that
        match none are left out.
    """

    NATURAL = "natural"
    MATCHED = "matched"


def flow(row: dict[str, Any], order: Order) -> Iterator[str | dict[str, Any]]:
    """The texts of a row of the documents table, and entries of its `image_info`, in order."""
    infos = row["image_info"]
    if order is Order.NATURAL:
        images = iter(infos)
        for text in row["texts"]:
            yield next(images) if text is None else text
        return
    at = defaultdict(list)
    for info in infos:
        if info["matched_text_index"] is not None:
            at[info["matched_text_index"]].append(info)
    for index, sentence in enumerate(row["text_list"]):
        yield from at[index]
        yield sentence


def matched(row: dict[str, Any]) -> list[int]:
    """Which of `image_info` have a sentence, by sentence, then by reading order."""
    indices = [info["matched_text_index"] for info in row["image_info"]]
    return sorted((i for i, at in enumerate(indices) if at is not None), key=indices.__getitem__)
