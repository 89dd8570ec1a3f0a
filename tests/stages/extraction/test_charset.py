import pytest

from stages.extraction.charset import decode, python_codec, to_utf8

TEXT = "Größe: naïve café — “quoted” text"
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5


def test_the_byte_order_mark_wins_over_every_label():
    body = b"\xff\xfe" + TEXT.encode("utf-16-le")
    assert decode(body, "text/html; charset=iso-8859-1") == TEXT


def test_valid_utf8_wins_over_a_wrong_label():
    assert decode(TEXT.encode(), "text/html; charset=windows-1251") == TEXT


@pytest.mark.parametrize("label", ["windows-1251", "iso-8859-1", ""])
def test_utf8_that_is_cut_inside_a_character_is_valid(label):
    cut = RUSSIAN.encode().rstrip()[:-2]
    assert decode(cut, f"text/html; charset={label}") == RUSSIAN.rstrip()[:-2] + "\ufffd"
    assert decode("café".encode("cp1252"), f"text/html; charset={label}").startswith("caf")


def test_the_http_charset_wins_over_the_meta_element():
    body = b'<meta charset="koi8-r">' + RUSSIAN.encode("windows-1251")
    assert decode(body, "text/html; charset=windows-1251").endswith(RUSSIAN)


def test_the_meta_element_is_read():
    body = b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">'
    assert decode(body + RUSSIAN.encode("koi8-r")).endswith(RUSSIAN)


def test_latin_1_is_read_as_browsers_do():
    assert decode("“a” €".encode("cp1252"), "text/html; charset=ISO-8859-1") == "“a” €"


def test_without_a_label_the_bytes_decide():
    assert decode(RUSSIAN.encode("windows-1251")) == RUSSIAN
    japanese = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 5
    assert decode(japanese.encode("shift_jis")) == japanese
    assert decode(japanese.encode("euc_jp")) == japanese


@pytest.mark.parametrize(
    "label",
    [
        "utf8mb4",
        "none",
        "x-unknown",
        "base64",
        "rot13",
        "utf-8,gbk",
        "undefined",
        "idna",
        "punycode",
        "charmap",
        "unicode_escape",
        "raw_unicode_escape",
    ],
)
def test_unknown_labels_do_not_crash(label):
    assert decode(RUSSIAN.encode("windows-1251"), f"text/html; charset={label}") == RUSSIAN


def test_a_wrong_byte_in_declared_utf8_costs_one_character():
    body = b'<meta charset="utf-8">' + TEXT.encode() * 50 + b"\xff"
    assert decode(body) == '<meta charset="utf-8">' + TEXT * 50 + "\ufffd"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("label", ["utf-16", "utf-8", "windows-1252"])
def test_utf_16_without_a_mark_is_told_by_its_first_bytes(codec, label):
    # Its bytes are valid UTF-8.
    page = f"<p>{RUSSIAN}</p>"
    assert decode(page.encode(codec), f"text/html; charset={label}") == page
    assert to_utf8(page.encode(codec)) == page.encode()


@pytest.mark.parametrize("codec", ["iso-2022-jp", "iso2022_jp_1"])
def test_seven_bit_japanese_is_told_by_its_escapes(codec):
    page = "<p>" + "吾輩は猫である。" * 9
    assert decode(page.encode(codec)) == page
    assert to_utf8(page.encode(codec)) == page.encode()


@pytest.mark.parametrize("label", ["utf-16", "utf-16le", "unicode", "iso-2022-jp"])
def test_bytes_that_a_label_cannot_be_of(label):
    body = "<p>Größe, naïve café</p>".encode("cp1252") * 20
    assert decode(body, f"text/html; charset={label}") == body.decode("cp1252")
    meta = f"<meta charset={label}>".encode()
    assert decode(meta + body) == (meta + body).decode("cp1252")


def test_a_meta_element_in_a_comment_is_none():
    body = b"<!-- <meta charset=koi8-r> --><meta charset=windows-1251>" + RUSSIAN.encode("cp1251")
    assert decode(body).endswith(RUSSIAN)
    # The shortest comment, one that has no end where the meta element is looked for.
    body = b"<!--><meta charset=windows-1251><!-- -->" + "“".encode("cp1251") * 20
    assert decode(body).endswith("“" * 20)
    body = b"<!-- <meta charset=koi8-r>" + b" " * 9_000 + b"-->" + RUSSIAN.encode("cp1251")
    assert decode(body).endswith(RUSSIAN)


def test_an_element_whose_name_starts_with_meta_is_none():
    body = b"<metadata charset=koi8-r><meta charset=windows-1251>" + RUSSIAN.encode("cp1251")
    assert decode(body).endswith(RUSSIAN)


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x00" * 100, bytes(range(256))])
def test_any_bytes_decode(body):
    assert isinstance(decode(body, "text/html; charset=utf-16"), str)


def test_codecs_of_labels():
    assert python_codec("GB2312") == "gb18030"
    assert python_codec("latin1") == "cp1252"
    # All labels of the Standard, not only those that Python knows.
    assert python_codec("x-cp1251") == "cp1251"
    assert python_codec("korean") == python_codec("ks_c_5601-1989") == "cp949"
    assert python_codec("csshiftjis") == "cp932"
    assert python_codec("dos-874") == "cp874"
    assert python_codec("x-x-big5") == "big5hkscs"
    assert python_codec("koi") == "koi8-r"
    # Labels that only Python knows are read as browsers read what they mean.
    assert python_codec("iso8859_1") == python_codec("646") == "cp1252"
    assert python_codec("tis620") == "cp874"
    assert python_codec("s-jis") == "cp932"
    assert python_codec("cp936") == "gb18030"
    assert python_codec("hex") is None
    assert python_codec("no such") is None
