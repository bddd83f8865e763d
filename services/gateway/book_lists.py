"""A list of books that is too long for a message: an upload that the run refers to."""

import json

from google.protobuf.json_format import ParseDict, ParseError

from bookmill.v1 import ingest_pb2
from services.common.errors import InvalidInput, NotFound
from services.common.objects import Reference
from services.common.storage import Store
from services.gateway.uris import check_book_uri

MAX_LISTED = 10_000
"""Books of one list."""
_MAX_BYTES = 16 << 20


def read_book_list(store: Store, reference: Reference) -> list[ingest_pb2.Book]:
    """Reads and checks `{"books": [{"uri", "title", "authors"}, …]}`.

    Raises:
        NotFound: `NO_SUCH_UPLOAD`.
        InvalidInput: `BAD_BOOK_LIST`, `BAD_URI`.
        Corrupt: `CORRUPT_OBJECT`.
    """
    if not reference.key.startswith("uploads/"):
        raise InvalidInput(
            "BAD_BOOK_LIST", f"book_list {reference.key!r} is no upload: PUT it to /v1/uploads first", field="book_list"
        )
    if reference.size > _MAX_BYTES:
        raise InvalidInput(
            "BAD_BOOK_LIST", f"book_list has {reference.size:,} bytes; {_MAX_BYTES:,} at most", field="book_list"
        )
    try:
        data = store.read(reference)
    except NotFound as error:
        raise NotFound("NO_SUCH_UPLOAD", f"{reference.key} was not uploaded", field="book_list") from error
    try:
        rows = json.loads(data)["books"]
        books = [ParseDict(row, ingest_pb2.Book()) for row in rows]
    except (ValueError, KeyError, TypeError, ParseError) as error:
        raise InvalidInput(
            "BAD_BOOK_LIST", f'book_list is not {{"books": [{{"uri": …}}, …]}}: {error}'[:300], field="book_list"
        ) from error
    if not 1 <= len(books) <= MAX_LISTED:
        raise InvalidInput(
            "BAD_BOOK_LIST", f"book_list names {len(books):,} books; 1 to {MAX_LISTED:,}", field="book_list"
        )
    for number, book in enumerate(books):
        check_book_uri(book.uri, f"book_list.books[{number}].uri")
    return books
