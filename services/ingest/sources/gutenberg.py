"""`gutenberg:84`: a book by its number, from mirrors in order, then from where the catalogue says."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from services.common.errors import BookmillError, InvalidInput, NotFound, PermissionDenied, Unavailable
from services.ingest.fetching import Body
from services.ingest.gutendex import Catalogue
from services.ingest.politeness import Clock
from services.ingest.web import Answered, Web


@dataclass(frozen=True, slots=True)
class Gutenberg:
    """Project Gutenberg's books."""

    web: Web
    catalogue: Catalogue
    catalogue_name: str
    """Which numbering is meant: the public one, or that of a test or a demo."""
    mirrors: tuple[str, ...]
    """Base URLs of copies of the collection, without a slash at the end."""
    limit: int
    """Bytes of a body."""
    clock: Clock
    _away: dict[str, float] = field(default_factory=dict)
    """Until when a mirror that did not answer is left alone."""

    async def identity(self, address: str) -> str:
        """Returns the number and the numbering's name: which mirror answers does not matter."""
        return f"gutenberg:{_number(address)}#{self.catalogue_name}"

    async def bodies(self, address: str, hints: tuple[str, ...]) -> AsyncIterator[Body]:
        """Yields the files of the mirrors, then of the catalogue's own addresses.

        Raises InvalidInput BAD_URI, NotFound NO_SUCH_BOOK, Unavailable SOURCE_UNAVAILABLE where no place has
        it and one did not answer, PermissionDenied where all places are forbidden.
        """
        number = _number(address)
        troubles: list[BookmillError] = []
        for mirror in self.mirrors:
            if self._away.get(mirror, 0.0) > self.clock.now():
                troubles.append(Unavailable("SOURCE_UNAVAILABLE", f"{mirror} did not answer a moment ago"))
                continue
            for name in _files(number):
                answer = await self._get(f"{mirror}/{name}")
                if isinstance(answer, Body):
                    yield answer
                elif answer is not None:
                    troubles.append(answer)
                    self._away[mirror] = self.clock.now() + _AWAY
                    break
        for url in hints[:_HINTS] or await self._catalogued(number, troubles):
            answer = await self._get(url)
            if isinstance(answer, Body):
                yield answer
            elif answer is not None:
                troubles.append(answer)
        if not troubles:
            raise NotFound("NO_SUCH_BOOK", f"no mirror and no address of the catalogue has a plain text of {number}")
        if all(isinstance(trouble, PermissionDenied) for trouble in troubles):
            raise troubles[0]
        raise Unavailable("SOURCE_UNAVAILABLE", f"no place has {number}: {'; '.join(t.message for t in troubles)}")

    async def _get(self, url: str) -> Body | BookmillError | None:
        """What lies at a URL: None where there is nothing, an error where another place has to be asked."""
        try:
            page = await self.web.get(url, self.limit)
        except Answered as answer:
            if answer.status in (404, 410):
                return None
            return Unavailable("SOURCE_UNAVAILABLE", f"{answer.url} answers {answer.status}")
        except (Unavailable, PermissionDenied, InvalidInput) as error:
            return error
        return Body(page.data, page.url)

    async def _catalogued(self, number: int, troubles: list[BookmillError]) -> tuple[str, ...]:
        try:
            book = await self.catalogue.book(number)
        except NotFound:
            return ()
        except Unavailable as error:
            troubles.append(error)
            return ()
        return book.text_urls if book else ()


_AWAY = 60.0
"""Seconds. Without it each book of a run would wait anew for a mirror that is down, about a minute."""

_HINTS = 16
"""Addresses that are tried at most; a record has one a charset."""

# Numbers have five digits today.
_NUMBER = re.compile(r"0*([1-9][0-9]{0,8})")


def _number(address: str) -> int:
    match = _NUMBER.fullmatch(address)
    if match is None:
        raise InvalidInput(
            "BAD_URI", f"'gutenberg:{address}' is not of the form gutenberg:NUMBER, for example gutenberg:84"
        )
    return int(match[1])


def _files(number: int) -> Iterator[str]:
    """The files in which mirrors keep a text, UTF-8 first, then the 8-bit one, which has the accents of the
    7-bit one.

    Folders are the number's digits but the last (https://www.gutenberg.org/help/mirroring.html); newer books
    may be in the cache alone, which not every mirror has.
    """
    digits = str(number)
    folder = "/".join(digits[:-1] or "0")
    for name in ("-0.txt", "-8.txt", ".txt", "-0.zip", "-8.zip", ".zip"):
        yield f"{folder}/{number}/{number}{name}"
    yield f"cache/epub/{number}/pg{number}.txt"
