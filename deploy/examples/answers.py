"""The answers that the catalogue gives: JSON, redirects, errors, and files whole or in part."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

_TYPES = {
    ".txt": "text/plain",
    ".zip": "application/zip",
    ".mp3": "audio/mpeg",
    ".htm": "text/html; charset=utf-8",
}
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")  # one range from a given byte, all that a resumed download asks for


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked."""

    path: str
    query: str
    """Without the question mark; may be empty."""
    base: str
    """The address that the client reached us by, without a slash at its end."""
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. A Content-Length among the headers stands, true or not; else the body's is added."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def from_json(value: object, status: int = HTTPStatus.OK) -> Answer:
    """An answer as Django REST framework gives it: compact, UTF-8."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json"})


def redirect(status: int, location: str) -> Answer:
    """Sends the client to another address."""
    return Answer(status, b"", {"Location": location, "Content-Type": "text/html; charset=utf-8"})


def error(status: HTTPStatus) -> Answer:
    """A web server's own page for a failure."""
    title = f"{status.value} {status.phrase}"
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, page.encode(), {"Content-Type": "text/html; charset=utf-8"})


def from_file(path: Path, request: Request) -> Answer:
    """The file, or the part that a Range header names if the file is still the one that If-Range names."""
    body = path.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    asked = {name.lower(): value for name, value in request.headers.items()}
    kind = _TYPES.get(path.suffix, "application/octet-stream")
    headers = {"Content-Type": kind, "ETag": tag, "Accept-Ranges": "bytes"}
    part = _RANGE.fullmatch(asked.get("range", ""))
    if not part or asked.get("if-range", tag) != tag:
        return Answer(HTTPStatus.OK, body, headers)
    first, last = int(part[1]), min(int(part[2] or len(body)), len(body) - 1)
    if first > last:
        where = {"Content-Range": f"bytes */{len(body)}"}
        return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", headers | where)
    where = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
    return Answer(HTTPStatus.PARTIAL_CONTENT, body[first : last + 1], headers | where)
