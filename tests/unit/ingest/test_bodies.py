import io
import zipfile

import pytest

from services.common.errors import Refused
from services.ingest.bodies import read_text

LIMIT = 4 << 20
TALE = "Once there was a mill.\r\nIt stood — “still”.\r\n"


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def encrypted() -> bytes:
    raw = bytearray(zipped({"a.txt": b"text"}))
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def lying_about_its_size() -> bytes:
    """A member that unpacks to more than the directory says."""
    raw = zipped({"a.txt": b"x" * (LIMIT + 10)})
    size = (LIMIT + 10).to_bytes(4, "little")
    return raw.replace(size, (100).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (TALE.encode(), "utf-8"),
        (TALE.encode("utf-8-sig"), "utf-8"),
        (TALE.encode("cp1252"), "windows-1252"),
        (zipped({"12.txt": TALE.encode("cp1252")}), "windows-1252"),
        (zipped({"12/": b"", "12/12-0.TXT": TALE.encode(), "12/cover.jpg": b"\xff\xd8"}), "utf-8"),
        (zipped({"12.txt": TALE.encode(), "__MACOSX/._12.txt": b"\0"}, zipfile.ZIP_BZIP2), "utf-8"),
    ],
)
def test_a_text_is_read_as_its_bytes_are(raw: bytes, encoding: str) -> None:
    text = read_text(raw, LIMIT)
    assert text.data.decode("utf-8") == TALE.replace("\r\n", "\n")
    assert text.encoding == encoding


def test_latin_1_keeps_its_accents() -> None:
    assert read_text("Légère, élève\n".encode("iso-8859-1"), LIMIT).data.decode() == "Légère, élève\n"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "EMPTY"),
        (b"\xef\xbb\xbf \r\n", "EMPTY"),
        (b"<!DOCTYPE html><html><body>The book is elsewhere</body></html>", "HTML_PAGE"),
        (b"\n <HTML><head><title>Are you human?</title></head>", "CAPTCHA"),
        (b"%PDF-1.7\n...", "PDF"),
        (bytes(range(256)) * 40, "NOT_TEXT"),
        (b"\x1f\x8b\x08\0abc", "NOT_TEXT"),
        (zipped({}), "BAD_ARCHIVE"),
        (zipped({"book.epub": b"x"}), "BAD_ARCHIVE"),
        (zipped({"a.txt": b"one", "b.txt": b"two"}), "BAD_ARCHIVE"),
        (zipped({"a.txt": b""}), "EMPTY"),
        (zipped({"a.txt": b"<html><body>no</body></html>"}), "HTML_PAGE"),
        (zipped({"a.txt": zipped({"b.txt": b"deep"})}), "BAD_ARCHIVE"),
        (zipped({"a.txt": b"tale " * 5000})[:-30], "BAD_ARCHIVE"),
        (b"PK\x03\x04 and no more", "BAD_ARCHIVE"),
        (encrypted(), "BAD_ARCHIVE"),
        (zipped({"a.txt": b"x" * (LIMIT + 1)}), "TOO_LARGE"),
        (lying_about_its_size(), "BAD_ARCHIVE"),
        (zipped({"a.txt": b"x" * (LIMIT - 1)}), "BAD_ARCHIVE"),
        (zipped({f"{n}.jpg": b"" for n in range(10_001)} | {"a.txt": b"tale"}, zipfile.ZIP_STORED), "BAD_ARCHIVE"),
    ],
)
def test_what_is_no_text_is_refused_with_its_kind(raw: bytes, reason: str) -> None:
    with pytest.raises(Refused) as caught:
        read_text(raw, LIMIT)
    assert caught.value.reason == reason


def test_a_captcha_says_what_to_do() -> None:
    with pytest.raises(Refused, match="use a mirror"):
        read_text(b"<html><title>Just a moment...</title>", LIMIT)
