"""What the bytes of a downloaded or uploaded book are, and the text in them.

Headers and catalogue keys are no guide to either (a `text/plain` address may serve a zip, a captcha or Latin-1
under the name of UTF-8), so both questions are answered from the bytes alone. Two services need the answers.
"""

import codecs
import re
from dataclasses import dataclass
from enum import StrEnum

from services.common.errors import Refused


class Body(StrEnum):
    """What a body is, whatever it was said to be. Each value but TEXT is also the reason it is refused with."""

    TEXT = "TEXT"
    EMPTY = "EMPTY"
    """No byte, or white space only."""
    HTML = "HTML"
    CAPTCHA = "CAPTCHA"
    """An HTML page that asks whether the reader is a person: the host has blocked us."""
    PDF = "PDF"
    ZIP = "ZIP"
    BINARY = "BINARY"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, and the encoding that its bytes were in."""

    text: str
    """Line endings are \\n; no byte order mark and no DOS end-of-file mark is left."""
    encoding: str
    """`utf-8` (plain ASCII too), `windows-1252` or `iso-8859-1`: read from the bytes."""


def sniff(raw: bytes) -> Body:
    """Tells a text from what is served in its place. Looks at the start of the body, and counts control bytes."""
    head = raw[:_HEAD].removeprefix(codecs.BOM_UTF8).lstrip()
    if not head and not raw.removeprefix(codecs.BOM_UTF8).strip():
        return Body.EMPTY
    if head.startswith(b"%PDF-"):
        return Body.PDF
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return Body.ZIP
    if head.startswith(_MAGIC):
        return Body.BINARY
    if _HTML.match(head):
        return Body.CAPTCHA if _CAPTCHA.search(raw[:_PAGE]) else Body.HTML
    if (len(raw) - len(raw.translate(None, _CONTROLS))) * _BINARY_SHARE > len(raw):
        return Body.BINARY
    return Body.TEXT


def require_text(raw: bytes) -> None:
    """Raises Refused, with the body's kind as reason, for anything that is not a text."""
    body = sniff(raw)
    if body is not Body.TEXT:
        raise Refused(body.value, f"the body is {_KINDS[body]}, not a plain text; it starts with {raw[:24]!r}")


def decode(raw: bytes) -> Decoded:
    """Decodes a text by its bytes: UTF-8 with or without a byte order mark, else Windows-1252, else Latin-1.

    Bytes 0x80 to 0x9F are control characters in Latin-1, which no book uses, and quotes and dashes in Windows-1252:
    one of them tells the two apart. A few stray bytes in a text that is otherwise UTF-8 are read as Windows-1252,
    so that they do not spoil the rest. Never fails; ask `sniff` first whether the bytes are a text.
    """
    body = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return Decoded(_normalise(body.decode("utf-8")), "utf-8")
    except UnicodeDecodeError:
        pass
    if len(_UTF8_SEQUENCE.findall(body)) > _MOSTLY_UTF8 * _invalid_bytes(body):
        return Decoded(_normalise(body.decode("utf-8", _STRAY_BYTES)), "utf-8")
    if _C1.search(body):
        return Decoded(_normalise(body.decode("cp1252", "replace")), "windows-1252")
    return Decoded(_normalise(body.decode("iso-8859-1")), "iso-8859-1")


_HEAD = 1024
"""Bytes at the start that are looked at for a signature."""

_PAGE = 256 << 10
"""Bytes of an HTML page that are searched for a captcha."""

_BINARY_SHARE = 1000
"""One control byte in so many makes a body binary: random bytes have one in nine, a text with a stray one has fewer."""

_MOSTLY_UTF8 = 20
"""So many valid UTF-8 sequences for one invalid byte: then the text is UTF-8, damaged, and not an 8-bit encoding."""

_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1a\x1b"))
"""Control bytes that a text does not have; 0x1A is the end-of-file mark of DOS, found in etexts of the 1990s."""

_MAGIC = (
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"ID3",
    b"OggS",
)

# A page starts with a doctype, with one of the first elements, or with a comment or XML declaration before them.
_HTML = re.compile(
    rb"(?:<\?xml[^>]{0,200}>\s*|<!--.{0,500}?-->\s*)*<(?:!doctype\s+html|html|head|body|title|meta)\b", re.I | re.S
)

# What the challenge pages of the public sites have in common.
_CAPTCHA = re.compile(rb"captcha|are you (?:a )?(?:human|robot)|cf-challenge|just a moment\.\.\.", re.I)

# A byte of the range that tells Windows-1252 from Latin-1.
_C1 = re.compile(rb"[\x80-\x9f]")

# A complete multi-byte UTF-8 sequence; good enough to count with, the decoder decides what is valid.
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")

# A return before the newline, and more than one where a file was converted twice.
_CRLF = re.compile(r"\r+\n")

_KINDS = {
    Body.EMPTY: "empty",
    Body.HTML: "an HTML page",
    Body.CAPTCHA: "a captcha page (the host blocks programs: use a mirror)",
    Body.PDF: "a PDF",
    Body.ZIP: "a zip archive",
    Body.BINARY: "binary",
}

_STRAY_BYTES = "bookmill-stray-bytes"


def _stray_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_STRAY_BYTES, _stray_bytes)


def _invalid_bytes(body: bytes) -> int:
    return body.decode("utf-8", "replace").count("\ufffd")


def _normalise(text: str) -> str:
    return _CRLF.sub("\n", text).replace("\r", "\n").rstrip("\x1a")
