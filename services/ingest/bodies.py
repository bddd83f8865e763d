"""From the bytes that came to the text in them: what is no text is refused with its kind, a zip is opened."""

import io
import zipfile
import zlib
from dataclasses import dataclass

from services.common.errors import Refused
from services.common.texts import Body, decode, sniff
from services.ingest.sinks import check_size


@dataclass(frozen=True, slots=True)
class Text:
    """The text in a body."""

    data: bytes
    """UTF-8 with \\n line ends."""
    encoding: str
    """What the bytes were, as services.common.texts.decode names it."""


def read_text(raw: bytes, limit: int) -> Text:
    """Returns the text in a body, from inside a zip if it is one.

    Raises Refused: EMPTY, HTML_PAGE, CAPTCHA, PDF, NOT_TEXT, BAD_ARCHIVE, or TOO_LARGE for a zip whose text
    is larger than `limit` bytes.
    """
    kind = sniff(raw)
    if kind is Body.ZIP:
        raw = _unzip(raw, limit)
        kind = sniff(raw)
        if kind is Body.ZIP:
            raise Refused("BAD_ARCHIVE", "the zip holds another zip; put in the text itself")
    if kind is not Body.TEXT:
        reason, what = _REFUSALS[kind]
        raise Refused(reason, f"what came is {what}, not a plain text; it starts with {raw[:40]!r}")
    decoded = decode(raw)
    return Text(decoded.text.encode("utf-8"), decoded.encoding)


_REFUSALS = {
    Body.EMPTY: ("EMPTY", "empty"),
    Body.HTML: ("HTML_PAGE", "an HTML page"),
    Body.CAPTCHA: ("CAPTCHA", "a captcha (the host blocks programs: use a mirror)"),
    Body.PDF: ("PDF", "a PDF"),
    Body.BINARY: ("NOT_TEXT", "binary"),
}

_MEMBERS = 10_000
"""A zip with more entries than this is not looked through."""

_RATIO = 200
"""Bytes out for one byte in: deflate of prose reaches 4, of one repeated line 1,000."""

_SMALL = 1 << 20
"""Below this many bytes a text may be as repetitive as it likes."""


def _unzip(raw: bytes, limit: int) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            member = _single_text(archive.infolist())
            with archive.open(member) as stream:
                # What the directory says of a size is a claim: read at most what was allowed.
                text = stream.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Refused("BAD_ARCHIVE", f"the zip does not open: {error}") from error
    check_size(len(text), limit, f"{member.filename!r} in the zip")
    if len(text) > max(_SMALL, _RATIO * len(raw)):
        raise Refused(
            "BAD_ARCHIVE",
            f"{len(raw):,} bytes of zip unpack to {len(text):,}: more than {_RATIO} for one is no book",
        )
    return text


def _single_text(members: list[zipfile.ZipInfo]) -> zipfile.ZipInfo:
    if len(members) > _MEMBERS:
        raise Refused("BAD_ARCHIVE", f"the zip has {len(members):,} entries; one text is expected")
    texts = [
        m for m in members if m.filename.lower().endswith(".txt") and not m.is_dir() and "__MACOSX/" not in m.filename
    ]
    if len(texts) != 1:
        names = ", ".join(repr(m.filename) for m in (texts or members)[:5])
        raise Refused(
            "BAD_ARCHIVE",
            f"the zip has {len(texts)} texts (*.txt) where one is expected; it holds {names or 'nothing'}",
        )
    return texts[0]
