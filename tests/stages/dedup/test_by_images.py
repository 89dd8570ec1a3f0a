import random

import pytest

from schemas.document import Document, Image, Text
from schemas.image import ImageRecord
from stages.dedup.by_images import (
    ByImagesConfig,
    ImageSetConfig,
    JointConfig,
    end_of,
    joint_edges,
    members,
    set_key,
)
from stages.dedup.components import id_of


def image(number, copy=0):
    """Copies of a picture have other bytes and another URL, but one perceptual hash."""
    record = ImageRecord(f"{number:032x}{copy:032x}", "", "png", 200, 200, 9, f"{number:016x}")
    return Image(f"https://i.example/{copy}/{number}", record=record)


def document(doc_id, images, text="some words", time=""):
    return Document(doc_id, f"https://{doc_id}.example", (Text(text), *images), crawl_time=time)


def test_a_set_has_no_order_and_no_repetitions():
    key = set_key(document("a", [image(1), image(2)]), ImageSetConfig())
    assert key == set_key(document("b", [image(2), image(1), image(2)]), ImageSetConfig())
    assert key != set_key(document("c", [image(1), image(2), image(3)]), ImageSetConfig())


def test_a_set_must_have_so_many_different_images():
    few = document("a", [image(1), image(1), image(1)])
    assert set_key(few, ImageSetConfig()) is None
    assert set_key(few, ImageSetConfig(min_images=1)) is not None
    assert set_key(document("a", []), ImageSetConfig(min_images=1)) is None


@pytest.mark.parametrize(("by", "same"), [("sha256", False), ("phash", True), ("url", False)])
def test_what_an_image_is_known_by(by, same):
    plain, copy = ([image(1, c), image(2, c)] for c in (0, 1))
    keys = [set_key(document("a", images), ImageSetConfig(by=by)) for images in (plain, copy)]
    assert (keys[0] == keys[1]) is same


def prose(seed, count=400):
    rng = random.Random(seed)
    return [f"w{rng.randrange(10**6)}" for _ in range(count)]


def edges(documents, shared, **fields):
    """Edges of an image that all documents show, as pairs of ids."""
    config = JointConfig(**fields)
    keys = ByImagesConfig(joint=config)
    found = [dict(members(d, end_of(d, keys), config))[f"{shared:016x}"] for d in documents]
    told = list(joint_edges(found, config))
    assert sorted(told) == sorted(joint_edges(reversed(found), config))
    return sorted((id_of(edge.split()[1]), id_of(edge.split()[2])) for edge in told)


@pytest.mark.parametrize(
    ("same_words", "shared_images", "expected"),
    [
        (400, 4, True),
        (260, 2, True),  # Jaccard 130 of 270 shingles .48, and 2 of 4 images
        (260, 1, False),  # 1 of 7
        (120, 4, False),  # .17
        (0, 4, False),
    ],
)
def test_both_text_and_images_must_be_near(same_words, shared_images, expected):
    text = prose(1)
    other = [*text[:same_words], *prose(2)[same_words:]]
    left = document("a", [image(n) for n in range(4)], " ".join(text))
    right = document(
        "b",
        [image(n) for n in [*range(shared_images), *range(10, 14 - shared_images)]],
        " ".join(other),
    )
    need = {"min_images": 1 / 3}
    assert edges([left, right], 0, **need) == ([("a", "b")] if expected else [])


def test_a_picture_with_several_clusters_links_each_to_its_own_best_member():
    documents = [
        document(name, [image(1), image(number)], " ".join(prose(number)), time)
        for number, group in enumerate(("adg", "bc", "e"), start=2)
        for name, time in zip(group, ("2020", "2022", "2021"), strict=False)
    ]
    assert edges(documents, 1) == [("c", "b"), ("d", "a"), ("d", "g")]


def test_a_picture_in_too_many_documents_suggests_no_pair():
    text = " ".join(prose(1))
    documents = [document(f"d{n}", [image(1)], text) for n in range(5)]
    assert len(edges(documents, 1, max_documents=5)) == 4
    assert edges(documents, 1, max_documents=4) == []


def test_pages_of_many_images_meet_under_few_of_them():
    text, config = " ".join(prose(1)), JointConfig()
    left, right = (
        dict(members(document(name, [image(n) for n in own], text), name, config))
        for name, own in (("a", range(3000)), ("b", range(1000, 4000)))  # Jaccard .5
    )
    assert len(left) == len(right) == 64
    shared = left.keys() & right.keys()
    assert all(list(joint_edges([left[key], right[key]], config)) == ["j a b"] for key in shared)
    assert shared


def test_without_text_there_is_nothing_joint():
    assert list(members(document("a", [image(1)], ""), "end", JointConfig())) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageSetConfig(min_images=0), "image_set: min_images is 0"),
        (lambda: ImageSetConfig(by="name"), "image_set: by is 'name'"),
        (lambda: JointConfig(min_text=0), "joint: min_text is 0, not in ]0, 1]"),
        (lambda: JointConfig(min_images=1.5), "joint: min_images is 1.5"),
        (lambda: JointConfig(max_documents=1), "joint: max_documents is 1"),
        (lambda: JointConfig(by="name"), "joint: by is 'name'"),
        (lambda: ByImagesConfig(), "deduplicate_by_images: set image_set or joint"),
        (
            lambda: ByImagesConfig(joint=JointConfig(), keep="first"),
            "deduplicate_by_images: keep is 'first'",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011  the message is compared below
        make()
    assert str(error.value).startswith(message)
