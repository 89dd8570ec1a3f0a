import json

import yaml
from datasets import load_dataset

from pipeline.card import column_type, contents, dataset_card, share, size
from schemas.corpus import DOCUMENTS, IMAGES, TABLES


def front_matter(card):
    _, front, body = card.split("---\n", 2)
    return yaml.safe_load(front), body


def test_front_matter(tmp_path, draft):
    front, _ = front_matter(dataset_card(draft.write(tmp_path)))
    assert front["license"] == "other"
    assert front["language"] == ["de", "en"]
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"] == [
        {
            "config_name": "documents",
            "default": True,
            "data_files": [{"split": "train", "path": "documents/part-*.parquet"}],
        },
        {
            "config_name": "images",
            "data_files": [{"split": "train", "path": "images/part-*.parquet"}],
        },
    ]


def test_counts_funnel_and_columns(tmp_path, draft):
    _, body = front_matter(dataset_card(draft.write(tmp_path)))
    assert "3 documents and 2 images, made by weft 0.1.0 from 1 WARC file (1.2 MB)." in body
    assert "| filter_pages | page | 6 | 3 | 2 | 1 | 50.0 % |" in body
    assert "| filter_pages | mime | unwanted | page | 2 |" in body
    for schema in TABLES.values():
        for field in schema:
            about = field.metadata[b"description"].decode()
            assert f"| `{field.name}` |" in body
            assert about.replace("\\", "\\\\").replace("|", "\\|") in body
    assert "`image_info[].matched_sim`" in body


def test_images_that_nobody_asked_for_are_not_counted(tmp_path, draft):
    manifest = draft.write(tmp_path)
    assert contents(manifest) == "3 documents and 2 images"
    manifest["config"]["gather_images"] = None
    for file in manifest["files"]:
        file["rows"] *= file["table"] != "images"
    assert contents(manifest) == "3 documents with the URLs of their images"


def test_consent_is_claimed_only_where_it_was_asked_for(tmp_path, draft):
    asked = "whose headers or robots directives reserve rights"
    assert asked in dataset_card(draft.write(tmp_path / "asked"))
    draft.config["filter_pages"] = []
    assert asked not in dataset_card(draft.write(tmp_path / "not"))


def test_a_hub_loads_the_folder_by_its_card(tmp_path, draft):
    folder = tmp_path / "corpus"
    (folder / "README.md").parent.mkdir()
    (folder / "README.md").write_text(dataset_card(draft.write(folder)))
    cache = str(tmp_path / "cache")
    documents = load_dataset(str(folder), cache_dir=cache, split="train")
    assert documents.column_names == DOCUMENTS.names
    assert documents["doc_id"][:] == [f"{i:032x}" for i in (1, 2, 3)]
    images = load_dataset(str(folder), "images", cache_dir=cache, split="train")
    assert images.column_names == IMAGES.names
    assert images.num_rows == 2


def test_a_config_cannot_end_its_block(tmp_path, draft):
    draft.config["filter_pages"] = [{"url_words": {"words": ["```", "</details>"]}}]
    card = dataset_card(draft.write(tmp_path))
    assert "\n````yaml\n" in card
    assert card.count("\n````\n") == 1


def test_a_corpus_without_images_offers_none(tmp_path, draft):
    draft.images = []
    front, _ = front_matter(dataset_card(draft.write(tmp_path)))
    assert [config["config_name"] for config in front["configs"]] == ["documents"]


def test_the_card_depends_on_the_manifest_alone(tmp_path, draft):
    manifest = draft.write(tmp_path)
    assert dataset_card(manifest) == dataset_card(json.loads(json.dumps(manifest)))


def test_numbers():
    assert [size(n) for n in (0, 999, 1000, 99_500, 999_600, 12_345_678_901)] == [
        "0 B", "999 B", "1.0 kB", "100 kB", "1.0 MB", "12.3 GB",
    ]  # fmt: skip
    shares = [share({"entered": e, "kept": k}) for e, k in
              ((0, 0), (3, 3), (3, 0), (10_000, 9_999), (10_000, 1))]  # fmt: skip
    assert shares == ["-", "100.0 %", "0.0 %", "99.9 %", "0.1 %"]


def test_types_are_short():
    types = {f.name: column_type(f.type) for f in [*DOCUMENTS, *IMAGES]}
    assert types["similarity_matrix"] == "[[float32]]"
    assert types["image_info"] == "[struct]"
    assert types["signals"] == "[{rule, score}]"
    assert types["clip_feature"] == "[float16]"
