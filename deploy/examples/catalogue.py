"""A small catalogue of books over HTTP, as Gutendex and a mirror of Project Gutenberg together answer.

`python -m deploy.examples.catalogue --port 8600 --books deploy/examples/tales` serves a shelf (`shelf.py`):

    /books/?topic=&search=&languages=&copyright=&ids=&mime_type=&sort=&page=   a page; /books redirects here
    /books/900001/                                                             one record
    /ebooks/900001.txt.utf-8                       redirects to /cache/epub/900001/pg900001.txt, its text
    /files/900001/NAME and /9/0/0/0/0/900001/NAME                              a file, whole or by Range
"""

import argparse
import re
import signal
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from deploy.examples.answers import Answer, Request, error, from_file, from_json, redirect
from deploy.examples.serving import Responder, Server
from deploy.examples.shelf import Record, Shelf, mirror_folder

PAGE_SIZE = 32
"""Books on a page of Gutendex."""

TALES = Path(__file__).parent / "tales"
"""The shelf that comes with Bookmill."""

_BOOK = re.compile(r"/books/(\d+)/")  # one record
_EBOOK = re.compile(r"/ebooks/(\d+)\.txt\.utf-8")  # the stable address of a text
_CACHE = re.compile(r"/cache/epub/(\d+)/pg(\d+)\.txt")  # where that leads
_FILE = re.compile(r"/(.+)/(\d+)/([^/]+)")  # a folder, the id, a file's name


def catalogue(shelf: Shelf, page_size: int = PAGE_SIZE) -> Responder:
    """What the catalogue of `shelf` answers to each request."""

    def respond(request: Request) -> Answer:
        path = request.path
        if path == "/books":
            return redirect(HTTPStatus.MOVED_PERMANENTLY, "/books/" + (f"?{request.query}" if request.query else ""))
        if path == "/books/":
            return _page(shelf, request, page_size)
        if match := _BOOK.fullmatch(path):
            record = shelf.book(int(match[1]))
            return from_json(_absolute(record, request)) if record else _missing("No Book matches the given query.")
        if match := _EBOOK.fullmatch(path):
            return redirect(HTTPStatus.FOUND, f"{request.base}/cache/epub/{match[1]}/pg{match[1]}.txt")
        return _file(shelf, request)

    return respond


def start(folder: Path, port: int = 0, host: str = "127.0.0.1", page_size: int = PAGE_SIZE) -> Server:
    """Serves the shelf in `folder`; port 0 takes a free one.

    Raises as `Shelf.read` does, and OSError when the port is taken.
    """
    return Server(catalogue(Shelf.read(folder), page_size), host, port)


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGTERM or Ctrl-C. Returns 2 when there is nothing to serve or the port is taken."""
    parser = argparse.ArgumentParser(
        "python -m deploy.examples.catalogue", description="Serve books as Gutendex would."
    )
    parser.add_argument(
        "--books", type=Path, default=TALES, metavar="DIR", help="has an index.json (default: the tales)"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port (default)")
    parser.add_argument("--page-size", type=int, default=PAGE_SIZE, help="books on a page (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        server = start(options.books, options.port, options.host, options.page_size)
    except (OSError, ValueError) as failure:
        print(f"catalogue: {failure}", file=sys.stderr)
        return 2
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with server:
        print(f"catalogue at {server.url}/books/", flush=True)
        stopped.wait()
    return 0


def _page(shelf: Shelf, request: Request, size: int) -> Answer:
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    found = shelf.find({name: value for name, value in query.items() if value})
    pages = max(1, -(-len(found) // size))
    text = query.get("page", "1")
    number = pages if text == "last" else int(text) if text.isdecimal() else 0
    if not 1 <= number <= pages:
        return _missing("Invalid page.")
    results = found[(number - 1) * size : number * size]
    return from_json(
        {
            "count": len(found),
            "next": _page_url(request, query, number + 1) if number < pages else None,
            "previous": _page_url(request, query, number - 1) if number > 1 else None,
            "results": [_absolute(book, request) for book in results],
        }
    )


def _page_url(request: Request, query: dict[str, str], number: int) -> str:
    # The first page is named by no number at all, and the names are sorted, as Gutendex does.
    named = {name: value for name, value in query.items() if name != "page"}
    if number > 1:
        named["page"] = str(number)
    return f"{request.base}/books/" + (f"?{urlencode(sorted(named.items()))}" if named else "")


def _absolute(record: Record, request: Request) -> Record:
    formats = {kind: request.base + url if url.startswith("/") else url for kind, url in record["formats"].items()}
    return record | {"formats": formats}


def _missing(detail: str) -> Answer:
    return from_json({"detail": detail}, HTTPStatus.NOT_FOUND)


def _file(shelf: Shelf, request: Request) -> Answer:
    path: Path | None = None
    if (match := _CACHE.fullmatch(request.path)) and match[1] == match[2]:
        path = shelf.text(int(match[1]))
    elif match := _FILE.fullmatch(request.path):
        folder, number, name = match[1], int(match[2]), match[3]
        if f"{folder}/{number}" in (f"files/{number}", mirror_folder(number)):
            path = shelf.file(number, name)
    return from_file(path, request) if path else error(HTTPStatus.NOT_FOUND)


if __name__ == "__main__":
    sys.exit(main())
