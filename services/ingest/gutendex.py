"""A catalogue with the API of Gutendex (https://gutendex.com): its pages read, its books as what can be
fetched."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from services.common.errors import NotFound, Refused, Unavailable
from services.ingest.politeness import PATIENT, Backoff, Clock
from services.ingest.web import Answered, Web


@dataclass(frozen=True, slots=True)
class Candidate:
    """A book in the public domain of which the catalogue has a plain text."""

    ebook: int
    """Project Gutenberg's number."""
    title: str
    authors: tuple[str, ...]
    languages: tuple[str, ...]
    downloads: int
    text_urls: tuple[str, ...]
    """Addresses of the text, the best first."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list."""

    records: tuple[tuple[int, Candidate | None], ...]
    """Each book's number, and the book where it can be used."""
    count: int
    """Books on all pages, as the catalogue counts them now; 0 where it does not say."""
    following: Mapping[str, str] | None
    """The query of the next page; None on the last one."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Asks one catalogue."""

    web: Web
    url: str
    """Where `/books/` lies, without it."""
    clock: Clock
    backoff: Backoff = PATIENT
    limit: int = 16 << 20
    """Bytes of a page; a real one has 32 books in 40 kB."""

    async def page(self, query: Mapping[str, str]) -> Page:
        """Returns a page. Raises NotFound NO_SUCH_PAGE past the last one, Unavailable
        CATALOGUE_UNAVAILABLE."""
        return read_page(await self._ask(f"{self.url}/books/?{urlencode(query)}"))

    async def book(self, ebook: int) -> Candidate | None:
        """Returns one book, None where it cannot be used. Raises NotFound NO_SUCH_PAGE where there is
        none."""
        return _candidate(await self._ask(f"{self.url}/books/{ebook}/"))

    async def _ask(self, url: str) -> dict[str, Any]:
        for attempt in range(1, self.backoff.attempts + 1):
            if attempt > 1:
                await self.clock.sleep(self.backoff.wait(attempt - 1))
            try:
                # A page is asked for by a status that says so and JSON that says it is one: anything else may
                # pass.
                return _json((await self.web.get(url, self.limit)).data)
            except Answered as answer:
                if answer.status == 404:
                    raise NotFound("NO_SUCH_PAGE", f"{url} does not exist") from answer
                raise Unavailable(
                    "CATALOGUE_UNAVAILABLE", f"the catalogue answers {answer.status} to {url}"
                ) from answer
            except (Unavailable, Refused) as error:
                raise Unavailable("CATALOGUE_UNAVAILABLE", f"the catalogue does not answer: {error.message}") from error
            except ValueError as error:
                nonsense = error
        raise Unavailable(
            "CATALOGUE_UNAVAILABLE", f"{url} answers {attempt} times with what is no catalogue: {nonsense}"
        )


def read_page(body: dict[str, Any]) -> Page:
    """Reads a page's JSON. Raises Unavailable CATALOGUE_UNAVAILABLE where it has another form."""
    results, count, following = body.get("results"), body.get("count"), body.get("next")
    if not isinstance(results, list) or not isinstance(following, str | None):
        raise Unavailable(
            "CATALOGUE_UNAVAILABLE", f"the catalogue's page has no list of results but {sorted(body)[:9]!r}"
        )
    # Only the query of `next` counts: a proxy in front of the catalogue often breaks the address before it.
    query = dict(parse_qsl(urlsplit(following).query)) if following else None
    books = [(record["id"], _candidate(record)) for record in results if _is_record(record)]
    return Page(tuple(books), count if isinstance(count, int) else 0, query)


def text_urls(formats: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the plain texts among a record's formats, the best first.

    The charset in a key says little of the bytes, yet tells editions apart: `utf-8` and Latin-1 keep the
    accents that `us-ascii` lost. A zip under a text's key comes last.
    """
    found = []
    for kind, url in formats.items():
        mime, _, parameter = kind.partition(";")
        if mime.strip().lower() != "text/plain" or not isinstance(url, str):
            continue
        if urlsplit(url).scheme not in ("http", "https") or "readme" in url.rpartition("/")[2].lower():
            continue
        charset = parameter.partition("=")[2].strip().lower()
        found.append((url.lower().endswith(".zip"), _CHARSETS.get(charset, _OTHER), url))
    return tuple(dict.fromkeys(url for *_, url in sorted(found)))


_CHARSETS = {"utf-8": 0, "": 1, "iso-8859-1": 2, "windows-1252": 2, "us-ascii": 4}
_OTHER = 3


def _json(data: bytes) -> dict[str, Any]:
    # RecursionError: brackets nested by the thousand are garbage of another kind.
    try:
        body = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except ValueError as error:
        raise ValueError(f"{data[:60]!r} is no JSON") from error
    if not isinstance(body, dict):
        raise ValueError(f"{data[:60]!r} is no object")
    return body


def _is_record(record: object) -> bool:
    return isinstance(record, dict) and isinstance(record.get("id"), int) and isinstance(record.get("formats"), dict)


def _candidate(record: dict[str, Any]) -> Candidate | None:
    """The book of a record; None for sounds, images, books in copyright or of unknown state, and books
    without text."""
    urls = text_urls(record.get("formats") or {})
    # A readme may be the one text of a recording or a set of images, so the medium is looked at first.
    if record.get("media_type") != "Text" or record.get("copyright") is not False or not urls:
        return None
    authors = [author.get("name") for author in record.get("authors") or [] if isinstance(author, dict)]
    return Candidate(
        ebook=record["id"],
        title=str(record.get("title") or ""),
        authors=tuple(name for name in authors if isinstance(name, str) and name),
        languages=tuple(code for code in record.get("languages") or [] if isinstance(code, str)),
        downloads=count if isinstance(count := record.get("download_count"), int) else 0,
        text_urls=urls,
    )
