"""The decoder and the sniffing of bodies that ingest and clean share."""

import random

import pytest

from services.common.errors import Refused
from services.common.texts import Body, Decoded, decode, require_text, sniff


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"plain", Decoded("plain", "utf-8")),
        (b"", Decoded("", "utf-8")),
        ("caf\u00e9 \u2014 \u201cso\u201d".encode(), Decoded("caf\u00e9 \u2014 \u201cso\u201d", "utf-8")),
        (b"\xef\xbb\xbfcaf\xc3\xa9", Decoded("caf\u00e9", "utf-8")),
        (b"\x93caf\xe9\x94 \x97 so", Decoded("\u201ccaf\u00e9\u201d \u2014 so", "windows-1252")),
        (b"caf\xe9 \xabla\xbb", Decoded("caf\u00e9 \u00abla\u00bb", "iso-8859-1")),
        (b"a\r\nb\rc\nd\r\r\ne\x1a", Decoded("a\nb\nc\nd\ne", "utf-8")),
        # 0x81 has no meaning in Windows-1252; the 0x92 beside it still says which encoding it is
        (b"it\x92s \x81", Decoded("it\u2019s \ufffd", "windows-1252")),
        # one stray quote in a UTF-8 text does not turn every other letter to rubbish
        (b"it\x92s " + "\u00e9".encode() * 30, Decoded("it\u2019s " + "\u00e9" * 30, "utf-8")),
    ],
)
def test_text_is_decoded_by_its_bytes(raw: bytes, expected: Decoded) -> None:
    assert decode(raw) == expected


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        (b"", Body.EMPTY),
        (b"\xef\xbb\xbf \r\n\t", Body.EMPTY),
        (b" " * 4096 + b"late", Body.TEXT),
        (b"%PDF-1.4\n", Body.PDF),
        (b"PK\x03\x04\x14\x00", Body.ZIP),
        (b"\x1f\x8b\x08\x00", Body.BINARY),
        (b"\x89PNG\r\n\x1a\n", Body.BINARY),
        (random.Random(1).randbytes(10_000), Body.BINARY),
        ("A tale".encode("utf-16"), Body.BINARY),
        (b"<!DOCTYPE html><p>Tale", Body.HTML),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- x -->\n<HTML lang="en">', Body.HTML),
        (b"<html><title>Are you a human?</title>", Body.CAPTCHA),
        (b"<html><p>Solve the CAPTCHA", Body.CAPTCHA),
        (b"He wrote <html> on the wall, and a captcha.", Body.TEXT),
        (b"<i>Once</i> upon a time", Body.TEXT),
        (b"Once upon a time\x1a", Body.TEXT),
        (b"Once upon a \x00time" + b" and more" * 200, Body.TEXT),
        ("\u041e\u0434\u043d\u0430\u0436\u0434\u044b".encode(), Body.TEXT),
    ],
)
def test_bodies_are_told_apart(raw: bytes, body: Body) -> None:
    assert sniff(raw) is body


def test_what_is_no_text_is_refused_by_its_kind() -> None:
    require_text(b"Once upon a time")
    with pytest.raises(Refused, match=r"a PDF.*%PDF-1\.4") as refusal:
        require_text(b"%PDF-1.4 ...")
    assert refusal.value.reason == "PDF"
