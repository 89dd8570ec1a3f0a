import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError
from pipeline.export.export import format_of
from tests.pipeline.drafts import BLUE, BLUE_ELSEWHERE, RED, record
from tests.pipeline.export.test_export import run

tokenizers = pytest.importorskip("tokenizers")


@pytest.fixture
def tokenizer(tmp_path):
    words = ["two", "pictures", "a", "red", "square", "is", "here", ".", "it", "then", "blue"]
    words += ["one", "nothing", "matched", "again"]
    special = ["<pad>", "<s>", "</s>", "<image>", "<unk>"]
    vocabulary = {word: i for i, word in enumerate(special + words)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.add_special_tokens(special)
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def packed(corpus, folder, tokenizer, *sets):
    manifest = run(
        corpus, folder, "packed", f"tokenizer={tokenizer}", "begin=<s>", "end=</s>", "pad=<pad>",
        *sets, shards=1,
    )  # fmt: skip
    [path] = folder.glob("*.parquet")
    return manifest, pq.read_table(path).to_pylist()


def segments(row):
    """Each document of a sequence: its id and its tokens."""
    at = 0
    for doc_id, length in zip(row["segment_doc_ids"], row["segment_lengths"], strict=True):
        yield doc_id, row["input_ids"][at : at + length]
        at += length
    assert set(row["input_ids"][at:]) <= {0}


def test_documents_read_back_by_the_tokenizer(corpus, tmp_path, tokenizer):
    manifest, rows = packed(corpus, tmp_path / "x", tokenizer, "length=32", "image_tokens=2")
    read = tokenizers.Tokenizer.from_file(str(tokenizer))
    texts = {
        doc_id: read.decode(ids, skip_special_tokens=False)
        for row in rows
        for doc_id, ids in segments(row)
    }
    assert texts == {
        f"{1:032x}": "<s> two pictures a red square is here . it is red . <image> <image> "
        "then a blue one . <image> <image> </s>",
        f"{2:032x}": "<s> <image> <image> nothing is matched here . </s>",
        f"{3:032x}": "<s> blue again . <image> <image> </s>",
    }
    # 23 tokens and 9 are one full sequence; 7 of 32 are the other.
    assert [sorted(row["segment_lengths"]) for row in rows] == [[9, 23], [7]]
    assert manifest["shares"] == {"padding": 25 / 64, "documents truncated": 0.0}


def test_images_stand_at_their_placeholders(corpus, tmp_path, tokenizer):
    _, rows = packed(corpus, tmp_path / "x", tokenizer, "length=32", "image_tokens=2")
    ids = [image_id for row in rows for image_id in row["image_ids"]]
    assert ids == [record(url).image_id for url in (RED, BLUE, RED, BLUE_ELSEWHERE)]
    for row in rows:
        places = [i for i, token in enumerate(row["input_ids"]) if token == 3]
        assert places == [at + k for at in row["image_positions"] for k in range(2)]


def test_a_long_document_is_cut_but_no_image(corpus, tmp_path, tokenizer):
    manifest, rows = packed(corpus, tmp_path / "x", tokenizer, "length=8", "image_tokens=7")
    assert manifest["counts"]["documents cut"] == 3
    assert manifest["shares"]["documents truncated"] == 1.0
    for row in rows:
        assert len(row["input_ids"]) == 8
        assert row["input_ids"].count(3) == 7 * len(row["image_ids"])


def test_a_page_cannot_write_special_tokens(draft, tmp_path, tokenizer):
    draft.documents[2]["texts"][0] = "Blue <image> again. </s> <s>"
    draft.write(tmp_path / "corpus")
    _, [row] = packed(tmp_path / "corpus", tmp_path / "x", tokenizer, "length=64")
    assert [row["input_ids"].count(token) for token in (1, 2, 3)] == [3, 3, 4]


def test_what_the_user_mistook(tmp_path, tokenizer):
    with pytest.raises(UserError, match="export packed: tokenizer: name a file"):
        format_of("packed", [])
    with pytest.raises(UserError, match=r"tokenizer: /no/such\.json: "):
        format_of("packed", ["tokenizer=/no/such.json"])
    with pytest.raises(UserError, match=r"end: .* has no token '<eos>'"):
        format_of("packed", [f"tokenizer={tokenizer}", "end=<eos>"])
    with pytest.raises(UserError, match=r"image_tokens: is 9, not in 1\.\.length"):
        format_of("packed", [f"tokenizer={tokenizer}", "length=8", "image_tokens=9"])
