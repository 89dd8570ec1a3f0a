import pytest

from stages.extraction.charset import decode, python_codec

TEXT = "Größe: naïve café — “quoted” text"
RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5


def test_the_byte_order_mark_wins_over_every_label():
    body = b"\xff\xfe" + TEXT.encode("utf-16-le")
    assert decode(body, "text/html; charset=iso-8859-1") == TEXT


def test_valid_utf8_wins_over_a_wrong_label():
    assert decode(TEXT.encode(), "text/html; charset=windows-1251") == TEXT


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


@pytest.mark.parametrize("label", ["utf8mb4", "none", "x-unknown", "base64", "rot13", "utf-8,gbk"])
def test_unknown_labels_do_not_crash(label):
    assert decode(RUSSIAN.encode("windows-1251"), f"text/html; charset={label}") == RUSSIAN


def test_a_wrong_byte_in_declared_utf8_costs_one_character():
    body = b'<meta charset="utf-8">' + TEXT.encode() * 50 + b"\xff"
    assert decode(body) == '<meta charset="utf-8">' + TEXT * 50 + "\ufffd"


@pytest.mark.parametrize("body", [b"", b"\xff", b"\x00" * 100, bytes(range(256))])
def test_any_bytes_decode(body):
    assert isinstance(decode(body, "text/html; charset=utf-16"), str)


def test_codecs_of_labels():
    assert python_codec("GB2312") == "gb18030"
    assert python_codec("latin1") == "cp1252"
    assert python_codec("hex") is None
    assert python_codec("no such") is None
