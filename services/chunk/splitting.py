"""Which books are held out: by a hash of the book's identity, so that no order, run or machine matters."""

import hashlib
import math
from collections.abc import Collection


def held_out(books: Collection[str], fraction: float) -> frozenset[str]:
    """Chooses the books that are not trained on.

    The books with the smallest hashes are taken, so that a book that is added moves at most one other. A book is
    whole in one split: chunks of one book tell of each other, and a model would be tested on what it has read.

    Args:
        books: their ids, each once.
        fraction: the share of the books to hold out, rounded half up.

    Returns:
        At least one book and not all of them where there are two or more. None of a single book: it is trained on,
        and there is nothing to test with.
    """
    if len(books) < 2:
        return frozenset()
    count = min(max(math.floor(len(books) * fraction + 0.5), 1), len(books) - 1)
    return frozenset(sorted(books, key=lambda book: (_hash(book), book))[:count])


def _hash(book: str) -> bytes:
    # The prefix keeps the choice apart from any other that may be made by the hash of an id.
    return hashlib.sha256(f"split\n{book}".encode()).digest()
