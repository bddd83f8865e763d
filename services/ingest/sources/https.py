"""`https://host/path` (and http:): a text on a web server that the allow-list names."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urldefrag

from services.common.errors import NotFound, Unavailable
from services.ingest.fetching import Body
from services.ingest.web import Answered, Web


@dataclass(frozen=True, slots=True)
class Https:
    """Addresses of the web."""

    web: Web
    limit: int
    scheme: str = "https"

    async def identity(self, address: str) -> str:
        """Returns the URL: what came from it once stands for it."""
        return urldefrag(f"{self.scheme}:{address}").url

    async def bodies(self, address: str, hints: tuple[str, ...]) -> AsyncIterator[Body]:  # noqa: ARG002 (a source's form)
        """Yields the body. Raises InvalidInput BAD_URI, PermissionDenied, NotFound, Unavailable, Refused
        TOO_LARGE."""
        url = f"{self.scheme}:{address}"
        try:
            page = await self.web.get(url, self.limit)
        except Answered as answer:
            if answer.status in (404, 410):
                raise NotFound("NO_SUCH_BOOK", f"{answer.url} answers {answer.status}: there is nothing") from answer
            raise Unavailable("SOURCE_UNAVAILABLE", f"{answer.url} answers {answer.status}") from answer
        yield Body(page.data, page.url)
