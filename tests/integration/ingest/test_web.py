import asyncio
import gzip
import ipaddress
import shutil
import ssl
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import BookmillError, Exhausted, PermissionDenied, Refused, Unavailable
from services.ingest.addresses import Guard
from services.ingest.politeness import Backoff, Pace
from services.ingest.sinks import Memory, Partial
from services.ingest.web import Answered, Limits, Web
from tests.support.mirror import Mirror, StillClock, web

BOOK = b"Once there was a mill, and nobody could say for whom.\n" * 4000
LIMIT = 1 << 20
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as running:
        running.put("/book", BOOK)
        yield running


async def test_a_body_is_read_whole(mirror: Mirror) -> None:
    page = await web(StillClock()).get(f"{mirror.url}/book", LIMIT)
    assert (page.data, page.url) == (BOOK, f"{mirror.url}/book")
    assert "Bookmill" in mirror.asked[0].headers["user-agent"]
    assert mirror.asked[0].headers["host"] == f"127.0.0.1:{mirror.port}"


async def test_a_redirect_is_followed_at_the_same_pace(mirror: Mirror) -> None:
    mirror.redirect("/ebooks/1", "/files/1")
    mirror.redirect("/files/1", f"http://localhost:{mirror.port}/book")
    clock = StillClock()
    page = await web(clock, interval=2.0).get(f"{mirror.url}/ebooks/1", LIMIT)
    assert (page.data, page.url) == (BOOK, f"http://localhost:{mirror.port}/book")
    assert clock.waits == [2.0]


async def test_redirects_are_bounded(mirror: Mirror) -> None:
    mirror.redirect("/round", "/round")
    with pytest.raises(Unavailable, match="redirects"):
        await web(StillClock()).get(f"{mirror.url}/round", LIMIT)
    assert len(mirror.asked) == 6


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("http://10.0.0.1/", "HOST_NOT_ALLOWED"),
        ("http://169.254.169.254/latest/meta-data/", "HOST_NOT_ALLOWED"),
        ("http://inner.test/secret", "ADDRESS_NOT_ALLOWED"),
        ("file:///etc/passwd", "BAD_URI"),
        ("gopher://127.0.0.1/", "BAD_URI"),
    ],
)
async def test_a_redirect_leads_nowhere_that_a_request_may_not(mirror: Mirror, location: str, reason: str) -> None:
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("10.0.0.7",) if host == "inner.test" else ("127.0.0.1",)

    mirror.redirect("/out", location)
    guarded = web(StillClock(), hosts=("inner.test",), resolve=resolve)
    with pytest.raises(BookmillError) as caught:
        await guarded.get(f"{mirror.url}/out", LIMIT)
    assert caught.value.reason == reason
    assert len(mirror.asked) == 1


async def test_the_connection_goes_to_the_address_that_was_checked(mirror: Mirror) -> None:
    """A name that resolves differently a moment later gains nothing: it is looked up once, by the guard."""
    answers = [("127.0.0.1",), ("10.0.0.7",)]

    async def rebinding(host: str, port: int) -> tuple[str, ...]:
        return answers.pop(0)

    guarded = web(
        StillClock(), hosts=(f"books.test:{mirror.port}",), exempt=(), exempt_networks=LOOPBACK, resolve=rebinding
    )
    page = await guarded.get(f"http://books.test:{mirror.port}/book", LIMIT)
    assert page.data == BOOK
    assert mirror.asked[0].headers["host"] == f"books.test:{mirror.port}"
    with pytest.raises(PermissionDenied, match=r"10\.0\.0\.7"):
        await guarded.get(f"http://books.test:{mirror.port}/book", LIMIT)
    assert len(mirror.asked) == 1


async def test_of_several_addresses_one_that_answers_is_enough(mirror: Mirror) -> None:
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("127.0.0.9", "127.0.0.1")  # nothing listens at the first

    page = await web(StillClock(), resolve=resolve).get(f"http://localhost:{mirror.port}/book", LIMIT)
    assert page.data == BOOK
    assert len(mirror.asked) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of `books.test` and its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate to test with")
    file = tmp_path / "books.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=books.test",
         "-addext", "subjectAltName=DNS:books.test", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "cert").read_bytes())
    return file


@pytest.mark.parametrize(("name", "good"), [("books.test", True), ("other.test", False)])
async def test_the_certificate_is_that_of_the_name_not_of_the_address(
    mirror: Mirror, certificate: Path, name: str, good: bool
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    mirror.encrypt(server)

    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return ("127.0.0.1",)

    guard = Guard((), (name,), resolve=resolve)
    trusted = ssl.create_default_context(cafile=str(certificate))
    client = Web(guard, Pace(0, StillClock()), backoff=Backoff(attempts=1), tls=trusted)
    if good:
        assert (await client.get(f"https://{name}:{mirror.port}/book", LIMIT)).data == BOOK
        return
    with pytest.raises(Unavailable, match="certificate"):
        await client.get(f"https://{name}:{mirror.port}/book", LIMIT)


async def test_a_token_is_not_shown_to_another_host(mirror: Mirror) -> None:
    mirror.redirect("/model", f"http://localhost:{mirror.port}/book")
    await web(StillClock()).get(f"{mirror.url}/model", LIMIT, {"Authorization": "Bearer secret"})
    assert [asked.headers.get("authorization") for asked in mirror.asked] == ["Bearer secret", None]


async def test_no_cookie_is_kept(mirror: Mirror) -> None:
    mirror.put("/book", BOOK, Set_Cookie="session=1; Path=/")
    client = web(StillClock())
    await client.get(f"{mirror.url}/book", LIMIT)
    await client.get(f"{mirror.url}/book", LIMIT)
    assert "cookie" not in mirror.asked[1].headers


async def test_a_broken_download_goes_on_where_it_broke(mirror: Mirror) -> None:
    mirror.cut("/book", after=100_000)
    mirror.cut("/book", after=50_000)
    page = await web(StillClock()).get(f"{mirror.url}/book", LIMIT)
    assert page.data == BOOK
    ranges = [(asked.headers.get("range"), asked.headers.get("if-range")) for asked in mirror.asked]
    assert ranges == [(None, None), ("bytes=100000-", '"first"'), ("bytes=150000-", '"first"')]


async def test_what_changed_meanwhile_is_begun_anew(mirror: Mirror) -> None:
    newer = b"Another edition.\n" * 9000

    class Changing(StillClock):
        async def sleep(self, seconds: float) -> None:
            mirror.put("/book", newer, etag='"second"')

    mirror.cut("/book", after=100_000)
    assert (await web(Changing()).get(f"{mirror.url}/book", LIMIT)).data == newer


@pytest.mark.parametrize("kept", [{"ranges": False}, {"etag": ""}, {"ranges": False, "etag": ""}])
async def test_a_server_that_cannot_resume_is_asked_for_the_whole_again(mirror: Mirror, kept: dict) -> None:
    mirror.put("/book", BOOK, **kept)
    mirror.cut("/book", after=100_000)
    assert (await web(StillClock()).get(f"{mirror.url}/book", LIMIT)).data == BOOK
    if kept.get("etag") == "":
        assert "range" not in mirror.asked[1].headers


async def test_a_download_that_always_breaks_is_given_up(mirror: Mirror) -> None:
    mirror.put("/book", BOOK, ranges=False)
    mirror.cut("/book", after=100_000, times=100)
    with pytest.raises(Unavailable, match=r"4 attempts|5 attempts"):
        await web(StillClock()).get(f"{mirror.url}/book", LIMIT)
    assert len(mirror.asked) <= 5


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_busy_server_is_asked_again_with_growing_pauses(mirror: Mirror, status: int) -> None:
    mirror.say("/book", status, times=3)
    clock = StillClock()
    assert (await web(clock).get(f"{mirror.url}/book", LIMIT)).data == BOOK
    assert clock.waits == [0.5, 1.0, 2.0]


async def test_attempts_are_bounded(mirror: Mirror) -> None:
    mirror.say("/book", 500)
    with pytest.raises(Unavailable, match="status 500") as caught:
        await web(StillClock()).get(f"{mirror.url}/book", LIMIT)
    assert caught.value.reason == "SOURCE_UNAVAILABLE"
    assert len(mirror.asked) == 4


async def test_retry_after_is_obeyed(mirror: Mirror) -> None:
    mirror.say("/book", 429, times=1, Retry_After="17")
    clock = StillClock()
    await web(clock, interval=2.0).get(f"{mirror.url}/book", LIMIT)
    assert clock.waits[0] == 17.0


async def test_retry_after_holds_for_every_caller(mirror: Mirror) -> None:
    mirror.say("/book", 429, times=1, Retry_After="17")
    mirror.put("/other", BOOK)
    held = asyncio.Event()
    other: list[float] = []

    class Shared(StillClock):
        """Whoever waits for the host lets the other caller ask in the meantime."""

        async def sleep(self, seconds: float) -> None:
            if not held.is_set():
                held.set()
                await client.get(f"{mirror.url}/other", LIMIT)
                other.append(self.time)
            await StillClock.sleep(self, seconds)

    clock = Shared()
    client = web(clock)
    await client.get(f"{mirror.url}/book", LIMIT)
    assert other == [1017.0]


async def test_a_server_that_wants_long_peace_gets_it(mirror: Mirror) -> None:
    mirror.say("/book", 503, Retry_After="3600")
    clock = StillClock()
    with pytest.raises(Unavailable, match="3600 s"):
        await web(clock).get(f"{mirror.url}/book", LIMIT)
    assert (len(mirror.asked), clock.waits) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 451])
async def test_a_final_answer_is_not_asked_for_again(mirror: Mirror, status: int) -> None:
    mirror.say("/book", status)
    with pytest.raises(Answered) as caught:
        await web(StillClock()).get(f"{mirror.url}/book", LIMIT)
    assert (caught.value.status, len(mirror.asked)) == (status, 1)


async def test_a_server_that_never_answers_is_given_up(mirror: Mirror) -> None:
    mirror.silence("/book")
    impatient = web(StillClock(), limits=Limits(read=0.1, total=20.0))
    with pytest.raises(Unavailable, match="ReadTimeout"):
        await impatient.get(f"{mirror.url}/book", LIMIT)
    assert len(mirror.asked) == 4


async def test_everything_about_an_address_has_an_end(mirror: Mirror) -> None:
    mirror.silence("/book")
    with pytest.raises(Unavailable, match="not finished"):
        await web(StillClock(), limits=Limits(read=30.0, total=0.2)).get(f"{mirror.url}/book", LIMIT)


async def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="ConnectError"):
        await web(StillClock()).get("http://127.0.0.1:9/book", LIMIT)


async def test_no_more_than_the_limit_is_taken(mirror: Mirror) -> None:
    assert (await web(StillClock()).get(f"{mirror.url}/book", len(BOOK))).data == BOOK
    with pytest.raises(Refused) as caught:
        await web(StillClock()).get(f"{mirror.url}/book", len(BOOK) - 1)
    assert caught.value.reason == "TOO_LARGE"


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compression_that_nobody_asked_for_is_undone(mirror: Mirror, coding: str, pack) -> None:
    mirror.put("/book", pack(BOOK), Content_Encoding=coding)
    assert (await web(StillClock()).get(f"{mirror.url}/book", LIMIT)).data == BOOK
    assert mirror.asked[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("gzip", gzip.compress(b"x" * (LIMIT + 1)), "TOO_LARGE"),
        ("gzip", b"no gzip", "BAD_ARCHIVE"),
        ("br", b"brotli", "NOT_TEXT"),
    ],
)
async def test_a_compression_is_not_trusted(mirror: Mirror, coding: str, body: bytes, reason: str) -> None:
    mirror.put("/book", body, Content_Encoding=coding)
    with pytest.raises(Refused) as caught:
        await web(StillClock()).get(f"{mirror.url}/book", LIMIT)
    assert caught.value.reason == reason


async def test_a_file_goes_on_where_an_earlier_process_stopped(mirror: Mirror, tmp_path: Path) -> None:
    part = tmp_path / "book.part"
    part.write_bytes(BOOK[:70_000])
    told: list[int] = []
    sink = Partial(part, len(BOOK), "the book", told.append)
    await web(StillClock()).download(f"{mirror.url}/book", sink)
    sink.close()
    assert part.read_bytes() == BOOK
    assert mirror.asked[0].headers["range"] == "bytes=70000-"
    assert (told[0], told[-1]) == (70_000, len(BOOK))
    # Whole already: the server says that there is no more.
    sink = Partial(part, len(BOOK), "the book", told.append)
    await web(StillClock()).download(f"{mirror.url}/book", sink)
    sink.close()
    assert part.read_bytes() == BOOK


async def test_a_part_that_is_longer_than_the_body_is_begun_anew(mirror: Mirror, tmp_path: Path) -> None:
    part = tmp_path / "book.part"
    part.write_bytes(b"x" * (len(BOOK) + 5))
    sink = Partial(part, len(BOOK) + 5, "the book", lambda _: None)
    await web(StillClock()).download(f"{mirror.url}/book", sink)
    sink.close()
    assert part.read_bytes() == BOOK


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here: no disk that is always full")
    sink = Partial(Path("/dev/full"), 1 << 30, "the model", lambda _: None)
    with pytest.raises(Exhausted) as caught:
        sink.write(b"x")
    sink.close()
    assert caught.value.reason == "DISK_FULL"


def test_a_sink_in_memory_forgets(tmp_path: Path) -> None:
    sink = Memory(10, "x")
    sink.write(b"12345")
    sink.restart()
    sink.write(b"1234567890")
    assert sink.content() == b"1234567890"
    with pytest.raises(Refused):
        sink.write(b"1")
