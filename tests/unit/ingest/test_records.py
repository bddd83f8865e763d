"""What the steps' records are named by, and what is made of given bytes. A change here needs a new version."""

import hashlib

from bookmill.v1 import ingest_pb2
from services.ingest.bodies import read_text
from services.ingest.models.card import licence_of
from services.ingest.servicer import FETCH_BOOK, FETCH_MODEL


def test_golden_digests() -> None:
    book = ingest_pb2.FetchBookRequest(book=ingest_pb2.Book(uri="gutenberg:84#gutenberg.org"), request_id="any")
    model = ingest_pb2.FetchModelRequest(uri="hf:org/tiny@0123", request_id="any")
    raw = "\ufeffOnce — “there” was\r\na mill.\r\r\n\x1a".encode()
    assert {
        "fetch_book": (FETCH_BOOK.version, FETCH_BOOK.key(book)[:16]),
        "fetch_model": (FETCH_MODEL.version, FETCH_MODEL.key(model)[:16]),
        "text": hashlib.sha256(read_text(raw, 1000).data).hexdigest()[:16],
        "text of cp1252": hashlib.sha256(read_text(raw[3:].decode().encode("cp1252"), 1000).data).hexdigest()[:16],
    } == GOLDEN


GOLDEN = {
    "fetch_book": (1, "8cbea9a4e206cd4c"),
    "fetch_model": (1, "57db3ff3012ab0b4"),
    "text": "0f58079df80f924a",
    "text of cp1252": "0f58079df80f924a",
}


def test_the_licence_of_a_card() -> None:
    cards = {
        "---\nlicense: apache-2.0\n---\n# A": "apache-2.0",
        "\ufeff---\r\ntags: [a]\r\nlicense: 'mit' # free\r\n---\r\n": "mit",
        "---\nlicense: [mit, gpl]\n---\n": "",
        "---\ntags: [a]\n---\nlicense: mit\n": "",
        "# A\nlicense: mit": "",
        "": "",
    }
    assert {card: licence_of(card) for card in cards} == cards
