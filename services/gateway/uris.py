"""The schemes of books' and base models' URIs. What stands behind a scheme is ingest's to judge."""

import re

from services.common.errors import InvalidInput

BOOK_SCHEMES = ("gutenberg", "upload", "s3", "file", "https")
"""A new source in ingest needs its scheme here too, so that a misspelt one is refused before a run begins."""
MODEL_SCHEMES = ("hf", "s3", "file", "upload")

_SHAPES = {
    "gutenberg": (re.compile(r"[1-9][0-9]{0,6}"), "gutenberg:84"),
    "upload": (re.compile(r"[0-9a-f]{64}"), "upload:<sha256>"),
    "hf": (re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?"), "hf:ORG/NAME@REVISION"),
    "https": (re.compile(r"//[^/\s?#@]+(/\S*)?"), "https://host/path"),
    "s3": (re.compile(r"[a-z0-9][a-z0-9.-]+/\S+"), "s3:bucket/key"),
    # A path may hold spaces, and any letters but control characters.
    "file": (re.compile(r"[^\x00-\x1f]+"), "file:path"),
}


def check_book_uri(uri: str, field: str) -> None:
    """Checks a book's URI.

    Raises:
        InvalidInput: `BAD_URI`.
    """
    _check(uri, field, BOOK_SCHEMES)


def check_model_uri(uri: str, field: str) -> None:
    """Checks a base model's URI.

    Raises:
        InvalidInput: `BAD_URI`.
    """
    _check(uri, field, MODEL_SCHEMES)


def _check(uri: str, field: str, schemes: tuple[str, ...]) -> None:
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in schemes:
        forms = ", ".join(_SHAPES[name][1] for name in schemes)
        raise InvalidInput(
            "BAD_URI", f"{field} {uri[:200]!r} is none of {forms}", field=field, choices=", ".join(schemes)
        )
    shape, form = _SHAPES[scheme]
    if len(uri) > 2000 or not shape.fullmatch(rest):
        raise InvalidInput("BAD_URI", f"{field} {uri[:200]!r} is not of the form {form}", field=field, choices=form)
