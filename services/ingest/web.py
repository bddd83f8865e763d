"""HTTP as the service does it: guarded addresses, a polite pace, bounded attempts, resumed downloads."""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urljoin, urlsplit

import httpx

from services.common.errors import Refused, Unavailable
from services.ingest.addresses import Guard, Target
from services.ingest.politeness import PATIENT, Backoff, Pace, retry_after
from services.ingest.sinks import Memory, Sink, check_size

USER_AGENT = "Bookmill/0.1 (public-domain books; one request in 2 s)"


class Answered(Exception):
    """The server answered with a status that trying again does not change. Callers say what it means to
    them."""

    def __init__(self, status: int, url: str, headers: httpx.Headers) -> None:
        super().__init__(f"{url} answered {status}")
        self.status, self.url, self.headers = status, url, headers


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the service waits for a server, in seconds."""

    connect: float = 10.0
    """For a connection, TLS included."""
    read: float = 30.0
    """For the next bytes."""
    total: float = 300.0
    """For everything about one address: redirects, waits and attempts included."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Page:
    """A whole body."""

    data: bytes
    url: str
    """The address that gave it, after redirects."""


class Web:
    """Asks servers. Keeps no connection and no cookie: at one request in two seconds there is nothing to
    gain."""

    def __init__(
        self,
        guard: Guard,
        pace: Pace,
        *,
        backoff: Backoff = PATIENT,
        limits: Limits = LIMITS,
        user_agent: str = USER_AGENT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` holds the certificates to trust; absent, they are those of certifi."""
        self._guard, self._pace, self._backoff, self._limits = guard, pace, backoff, limits
        # trust_env=False: a proxy would connect for us, to an address that nobody checked.
        self._client = httpx.AsyncClient(
            verify=tls or True,
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(limits.read, connect=limits.connect),
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        )

    async def close(self) -> None:
        """Frees the sockets."""
        await self._client.aclose()

    async def get(self, url: str, limit: int, headers: Mapping[str, str] | None = None) -> Page:
        """Returns the body of `url`, at most `limit` bytes of it, after redirects.

        Raises Answered, Refused TOO_LARGE, Unavailable SOURCE_UNAVAILABLE (no answer, or a broken or busy
        one, after bounded attempts) and what Guard.check raises.
        """
        sink = Memory(limit, url)
        answer = await self.download(url, sink, headers)
        data = sink.content()
        coding = answer.headers.get("content-encoding", "identity").strip().lower()
        return Page(data if coding == "identity" else _inflate(data, coding, limit, url), _address(answer))

    async def download(self, url: str, sink: Sink, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Brings the body of `url` into `sink`, going on from what is in it, and returns the answer's head.

        `headers` are sent to the host of `url` alone, not where it redirects to. Raises what `get` raises.
        """
        try:
            async with asyncio.timeout(self._limits.total) as budget:
                return await self._persist(url, sink, dict(headers or {}), budget)
        except TimeoutError as error:
            raise _unavailable(url, f"not finished after {self._limits.total:.0f} s") from error

    async def _persist(
        self, url: str, sink: Sink, headers: Mapping[str, str], budget: asyncio.Timeout
    ) -> httpx.Response:
        failures, validator = 0, ""
        while True:
            before = sink.size
            trouble = _Trouble("the body ended early")
            try:
                async with self._open(url, _resume(headers, before, validator), budget) as answer:
                    known, validator = validator, _validator(answer)
                    busy = _busy(answer)
                    if not busy and await _take(answer, sink, known):
                        return answer
                    trouble = busy or trouble
            except httpx.TransportError as failure:
                trouble = _Trouble(f"{type(failure).__name__}: {failure}")
            if sink.size > before and not validator:
                # Nothing tells whether the next answer has the same content: the halves might not fit.
                sink.restart()
            failures = 1 if sink.size > before else failures + 1
            await self._rest(url, failures, trouble)

    async def _rest(self, url: str, failures: int, trouble: "_Trouble") -> None:
        if failures >= self._backoff.attempts:
            raise _unavailable(url, f"{trouble.text} ({failures} attempts)")
        if trouble.wait > self._backoff.patience:
            raise _unavailable(url, f"{trouble.text}, and no request is wanted for {trouble.wait:.0f} s")
        if trouble.wait:
            self._pace.hold(trouble.host, trouble.wait)
        await self._pace.clock.sleep(max(trouble.wait, self._backoff.wait(failures)))

    @asynccontextmanager
    async def _open(
        self, url: str, headers: Mapping[str, str], budget: asyncio.Timeout
    ) -> AsyncIterator[httpx.Response]:
        first = urlsplit(url).netloc
        for _ in range(1 + _REDIRECTS):
            target = await self._guard.check(url)
            await self._queue(target.host, budget)
            stays = urlsplit(url).netloc == first
            answer = await self._ask(target, {k: v for k, v in headers.items() if stays or k in _ANYWHERE})
            location = answer.headers.get("location", "")
            if not (answer.is_redirect and location):
                try:
                    yield answer
                finally:
                    await answer.aclose()
                return
            await answer.aclose()
            url = urljoin(url, location)
        raise _unavailable(url, f"more than {_REDIRECTS} redirects")

    async def _queue(self, host: str, budget: asyncio.Timeout) -> None:
        """Waits for a turn; others that ask the same host do not use up our time."""
        loop = asyncio.get_running_loop()
        left = (budget.when() or loop.time()) - loop.time()
        budget.reschedule(None)
        await self._pace.turn(host)
        budget.reschedule(loop.time() + left)

    async def _ask(self, target: Target, headers: Mapping[str, str]) -> httpx.Response:
        # The request goes to the checked address; name and certificate stay those of the host.
        named = {**headers, "Host": urlsplit(target.url).netloc}
        extensions = {"sni_hostname": target.host, "bookmill_url": target.url}
        for left, address in enumerate(target.addresses, 1 - len(target.addresses)):
            url = httpx.URL(target.url).copy_with(host=address)
            request = self._client.build_request("GET", url, headers=named, extensions=extensions)
            try:
                return await self._client.send(request, stream=True)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Of a host with several addresses (IPv6 where there is no route, say) any one will do.
                if left == 0:
                    raise
        raise AssertionError("Guard.check returns at least one address")


@dataclass(frozen=True, slots=True)
class _Trouble:
    text: str
    wait: float = 0.0
    """Seconds that the server asked for."""
    host: str = ""


_REDIRECTS = 5
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_ANYWHERE = frozenset({"Range", "If-Range"})
"""What may follow a redirect to another host: a token may not."""


def _address(answer: httpx.Response) -> str:
    return str(answer.request.extensions["bookmill_url"])


def _resume(headers: Mapping[str, str], size: int, validator: str) -> dict[str, str]:
    if not size:
        return dict(headers)
    ranged = {**headers, "Range": f"bytes={size}-"}
    return {**ranged, "If-Range": validator} if validator else ranged


def _validator(answer: httpx.Response) -> str:
    """What tells whether the body is still the same; a weak ETag may not be used for that (RFC 9110,
    13.1.5)."""
    etag = answer.headers.get("etag", "")
    return etag if etag and not etag.startswith("W/") else str(answer.headers.get("last-modified", ""))


def _busy(answer: httpx.Response) -> _Trouble | None:
    """What is wrong where another attempt may go better. Raises Answered where it would not."""
    if answer.status_code in _BUSY:
        wait = retry_after(answer.headers.get("retry-after")) or 0.0
        return _Trouble(f"status {answer.status_code}", wait, urlsplit(_address(answer)).hostname or "")
    if answer.status_code not in (200, 206, 416):
        raise Answered(answer.status_code, _address(answer), answer.headers)
    return None


async def _take(answer: httpx.Response, sink: Sink, validator: str) -> bool:
    """Moves the body into the sink. Returns whether it is complete; raises httpx.TransportError where it
    breaks off."""
    start, whole = _range(answer)
    changed = bool(validator) and answer.status_code == 206 and _validator(answer) not in ("", validator)
    if start != sink.size or changed:
        # The server ignored the range (200), or what we have is of another version or longer than the body.
        complete = answer.status_code == 416 and whole == sink.size
        if not complete:
            sink.restart()
        if answer.status_code != 200:
            return complete
    if whole is not None:
        sink.expect(whole)
    # In the sizes that come: what waits for a chunk to be full would be lost where the body breaks off.
    async for chunk in answer.aiter_raw():
        sink.write(chunk)
    return whole is None or sink.size >= whole


def _range(answer: httpx.Response) -> tuple[int, int | None]:
    """Where the body starts, and the size of the whole: None where the server does not say."""
    if answer.status_code == 200:
        length = answer.headers.get("content-length", "")
        return 0, int(length) if length.isdigit() else None
    span, _, whole = answer.headers.get("content-range", "").removeprefix("bytes ").partition("/")
    start = span.partition("-")[0]
    return int(start) if start.isdigit() else -1, int(whole) if whole.isdigit() else None


def _inflate(data: bytes, coding: str, limit: int, url: str) -> bytes:
    """Undoes a compression that nobody asked for, without trusting what it says of its size."""
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise Refused("NOT_TEXT", f"{url} answers in the coding {coding!r}; known are gzip and deflate")
    machine = zlib.decompressobj(wbits=47)
    try:
        plain = machine.decompress(data, limit + 1)
    except zlib.error as error:
        raise Refused("BAD_ARCHIVE", f"{url} says that it answers in {coding} and does not: {error}") from error
    check_size(len(plain), limit, url)
    return plain


def _unavailable(url: str, why: str) -> Unavailable:
    return Unavailable("SOURCE_UNAVAILABLE", f"{url}: {why}", url=url)
