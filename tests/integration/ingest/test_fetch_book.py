import asyncio
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.errors import (
    BookmillError,
    Corrupt,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    Unavailable,
)
from services.common.objects import Reference
from services.common.storage import Store
from tests.support.catalogue import EMPTY, HTML, TALES, TOO_MANY, Faulty
from tests.support.mirror import Mirror

TALE = "The mill stood — still.\r\nNobody came.\r\n" * 50
PLAIN = TALE.replace("\r\n", "\n").encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


@pytest.fixture
def catalogue() -> Iterator[Faulty]:
    with Faulty() as running:
        yield running


# --- gutenberg: -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "body", "encoding"),
    [
        ("12/12-0.txt", TALE.encode("utf-8-sig"), "utf-8"),
        ("12/12-8.txt", TALE.encode("cp1252"), "windows-1252"),
        ("12/12.txt", TALE.encode(), "utf-8"),
        ("12/12-0.zip", zipped("12-0.txt", TALE.encode()), "utf-8"),
        ("12/12-8.zip", zipped("12-8.txt", TALE.encode("cp1252")), "windows-1252"),
    ],
)
async def test_a_book_is_found_under_any_of_a_mirrors_names(
    serve, mirror: Mirror, store: Store, name: str, body: bytes, encoding: str
) -> None:
    # What the header says of the charset is wrong half of the time, and not asked.
    mirror.put(f"/pg/1/{name}", body, Content_Type="text/plain; charset=us-ascii")
    async with serve(mirrors=f"{mirror.url}/pg/") as client:
        book, recorded = await client.fetch("gutenberg:12")
    assert store.read(Reference.from_proto(book.text)) == PLAIN
    assert book.text.key == f"books/raw/{sha256(PLAIN)}"
    assert (book.source_sha256, book.source_size_bytes) == (sha256(body), len(body))
    assert (book.source_url, book.encoding, recorded) == (f"{mirror.url}/pg/1/{name}", encoding, False)


@pytest.mark.parametrize(("number", "folder"), [(5, "0/5"), (84, "8/84"), (1234, "1/2/3/1234")])
async def test_a_mirrors_folders_are_the_digits(serve, mirror: Mirror, number: int, folder: str) -> None:
    mirror.put(f"/{folder}/{number}-0.txt", PLAIN)
    async with serve(mirrors=mirror.url) as client:
        await client.fetch(f"gutenberg:{number}")
    assert mirror.paths() == [f"/{folder}/{number}-0.txt"]


async def test_a_newer_book_is_found_in_the_cache(serve, mirror: Mirror) -> None:
    mirror.put("/cache/epub/77000/pg77000.txt", PLAIN)
    async with serve(mirrors=mirror.url) as client:
        await client.fetch("gutenberg:77000")
    assert len(mirror.asked) == 7


async def test_mirrors_are_asked_in_order_and_one_that_fails_is_left(serve, mirror: Mirror) -> None:
    with Mirror() as broken, Mirror() as empty, Mirror() as blocking:
        broken.say("/1/12/12-0.txt", 500)
        blocking.put("/1/12/12-0.txt", HTML.body)
        mirror.put("/1/12/12-0.txt", PLAIN)
        urls = ",".join(m.url for m in (broken, empty, blocking, mirror))
        async with serve(mirrors=urls) as client:
            book, _ = await client.fetch("gutenberg:12")
        assert len(broken.asked) == 4
        assert len(empty.asked) == 7
        assert blocking.asked
    assert book.source_url == f"{mirror.url}/1/12/12-0.txt"


async def test_a_mirror_that_is_away_is_left_alone_for_a_minute(serve, mirror: Mirror) -> None:
    for number in (12, 13, 14):
        mirror.put(f"/1/{number}/{number}-0.txt", PLAIN)
    with Mirror() as broken:
        for number in (12, 13, 14):
            broken.say(f"/1/{number}/{number}-0.txt", 500)
        async with serve(mirrors=f"{broken.url},{mirror.url}") as client:
            await client.fetch("gutenberg:12")
            await client.fetch("gutenberg:13")
            assert len(broken.asked) == 4
            client.clock.time += 61
            await client.fetch("gutenberg:14")
            assert len(broken.asked) == 8


async def test_the_catalogues_addresses_come_last(serve, mirror: Mirror) -> None:
    mirror.redirect("/ebooks/12.txt.utf-8", f"http://localhost:{mirror.port}/cache/12.txt")
    mirror.put("/cache/12.txt", PLAIN)
    hints = (f"{mirror.url}/gone.txt", f"{mirror.url}/ebooks/12.txt.utf-8?session=1")
    mirror.redirect("/ebooks/12.txt.utf-8?session=1", "/cache/12.txt?token=secret")
    mirror.put("/cache/12.txt?token=secret", PLAIN)
    async with serve(mirrors=f"{mirror.url}/none") as client:
        book, _ = await client.fetch("gutenberg:12", hints)
    assert book.source_url == f"{mirror.url}/cache/12.txt"
    assert len(mirror.asked) == 7 + 3


async def test_without_hints_the_catalogue_is_asked(serve, catalogue: Faulty, store: Store) -> None:
    async with serve(catalogue_url=catalogue.url) as client:
        book, _ = await client.fetch("gutenberg:900001")
    original = (TALES / "900001-0.txt").read_bytes()
    assert book.source_sha256 == sha256(original)
    assert store.read(Reference.from_proto(book.text)) == original.decode("utf-8-sig").replace("\r\n", "\n").encode()


async def test_every_tale_is_fetched_as_its_bytes_are(serve, catalogue: Faulty) -> None:
    books, refused = {}, {}
    async with serve(catalogue_url=catalogue.url, mirrors=catalogue.url) as client:
        for topic in ("horror", "ghost"):
            for answer in await client.search(topic, max_books=100):
                uri = answer.book.uri
                try:
                    books[uri] = (await client.fetch(uri, tuple(answer.book.text_urls)))[0]
                except Refused as error:
                    refused[uri] = error.reason
    assert len(books) >= 10
    assert {book.encoding for book in books.values()} >= {"utf-8", "iso-8859-1"}
    assert any(book.source_url.endswith(".zip") for book in books.values())
    # The shelf has one whose file is a page.
    assert refused.get("gutenberg:900011") == "HTML_PAGE"


async def test_a_download_that_breaks_goes_on(serve, catalogue: Faulty) -> None:
    catalogue.cut("/cache/epub/900001/", after=1000)
    async with serve(catalogue_url=catalogue.url) as client:
        book, _ = await client.fetch("gutenberg:900001")
    assert book.source_sha256 == sha256((TALES / "900001-0.txt").read_bytes())
    assert len(catalogue.asked("/cache/epub/900001/")) == 2


async def test_a_book_is_fetched_once_whatever_the_addresses(serve, mirror: Mirror) -> None:
    mirror.put("/1/12/12-0.txt", PLAIN)
    async with serve(mirrors=mirror.url) as client:
        first, recorded = await client.fetch("gutenberg:12")
        assert not recorded
        asked = len(mirror.asked)
        for uri, hints in [("gutenberg:12", ("http://127.0.0.1:9/x",)), ("gutenberg:0012", ()), ("Gutenberg:12", ())]:
            again, recorded = await client.fetch(uri, hints)
            assert (again, recorded) == (first, True)
    # Another service, another mirror, even one that is away: the record answers.
    async with serve(mirrors="http://127.0.0.1:9") as client:
        again, recorded = await client.fetch("gutenberg:12")
    assert (again, recorded) == (first, True)
    assert len(mirror.asked) == asked


async def test_another_catalogues_numbers_are_other_books(serve, mirror: Mirror) -> None:
    mirror.put("/1/12/12-0.txt", PLAIN)
    async with serve(mirrors=mirror.url) as client:
        await client.fetch("gutenberg:12")
    async with serve(mirrors=mirror.url, catalogue_name="elsewhere") as client:
        _, recorded = await client.fetch("gutenberg:12")
    assert not recorded


async def test_two_equal_calls_at_once_fetch_once(serve, mirror: Mirror) -> None:
    mirror.put("/1/12/12-0.txt", PLAIN)
    async with serve(mirrors=mirror.url) as client:
        both = await asyncio.gather(client.fetch("gutenberg:12"), client.fetch("gutenberg:12"))
    assert both[0][0] == both[1][0]
    assert len(mirror.asked) == 1


async def test_the_pace_is_kept(serve, mirror: Mirror) -> None:
    for number in (12, 13, 14):
        mirror.put(f"/1/{number}/{number}-0.txt", PLAIN)
    async with serve(mirrors=mirror.url) as client:
        await asyncio.gather(*(client.fetch(f"gutenberg:{number}") for number in (12, 13, 14)))
        assert client.clock.waits == [pytest.approx(2.0)] * 2


async def test_a_book_that_nobody_has(serve, mirror: Mirror, catalogue: Faulty) -> None:
    async with serve(mirrors=mirror.url, catalogue_url=catalogue.url) as client:
        with pytest.raises(NotFound) as caught:
            await client.fetch("gutenberg:12")
        assert caught.value.reason == "NO_SUCH_BOOK"


async def test_a_book_whose_places_do_not_answer(serve, mirror: Mirror) -> None:
    mirror.say("/1/12/12-0.txt", 403)
    async with serve(mirrors=mirror.url) as client:
        with pytest.raises(Unavailable, match="403") as caught:
            await client.fetch("gutenberg:12", (f"{mirror.url}/x",))
        assert caught.value.reason == "SOURCE_UNAVAILABLE"
        client.clock.time += 61
        with pytest.raises(Unavailable):
            await client.fetch("gutenberg:13")  # the catalogue is away
        # Nothing was written down: later it is tried again.
        mirror.put("/1/13/13-0.txt", PLAIN)
        await client.fetch("gutenberg:13")


async def test_a_host_that_is_busy_is_waited_for(serve, catalogue: Faulty) -> None:
    catalogue.fail("/cache/", TOO_MANY, times=2)
    async with serve(catalogue_url=catalogue.url) as client:
        await client.fetch("gutenberg:900001")
        assert client.clock.waits.count(1.0) >= 2


async def test_an_address_outside_the_list_is_not_asked(serve, mirror: Mirror) -> None:
    mirror.put("/x", PLAIN)
    async with serve(exempt_hosts=()) as client:
        with pytest.raises(PermissionDenied) as caught:
            await client.fetch("gutenberg:12", (f"{mirror.url}/x", "https://evil.test/x"))
    assert caught.value.reason == "HOST_NOT_ALLOWED"
    assert mirror.asked == []


# --- What is no book --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (EMPTY.body, "EMPTY"),
        (b" \r\n", "EMPTY"),
        (HTML.body, "CAPTCHA"),
        (b"<!doctype html><html><body>Moved</body></html>", "HTML_PAGE"),
        (b"%PDF-1.4\n%\xe2\xe3", "PDF"),
        (bytes(range(256)) * 64, "NOT_TEXT"),
        (zipped("a.txt", b"")[:40], "BAD_ARCHIVE"),
        (zipped("cover.jpg", b"\xff\xd8"), "BAD_ARCHIVE"),
        (b"tale " * 60_000, "TOO_LARGE"),
        (zipped("a.txt", b"tale " * 60_000), "TOO_LARGE"),
    ],
)
async def test_what_is_no_book_is_refused_with_its_kind(serve, mirror: Mirror, body: bytes, reason: str) -> None:
    mirror.put("/book.txt", body, Content_Type="text/plain; charset=utf-8")
    async with serve(book_limit=200_000) as client:
        for uri, hints in [(f"{mirror.url}/book.txt", ()), ("gutenberg:12", (f"{mirror.url}/book.txt",))]:
            with pytest.raises(Refused) as caught:
                await client.fetch(uri, hints)
            assert caught.value.reason == reason
            assert "/book.txt" in caught.value.message


async def test_of_several_refusals_the_first_is_told(serve, mirror: Mirror) -> None:
    mirror.put("/1/12/12-0.txt", HTML.body)
    mirror.put("/1/12/12.txt", b"%PDF-1.4")
    async with serve(mirrors=mirror.url) as client:
        # The catalogue, which is away, does not hide what the mirror gave.
        with pytest.raises(Refused) as caught:
            await client.fetch("gutenberg:12")
    assert caught.value.reason == "CAPTCHA"


async def test_sixty_megabytes_in_one_line_are_taken(serve, mirror: Mirror, store: Store) -> None:
    body = b"word " * (12 << 20)
    mirror.put("/long.txt", body)
    async with serve() as client:
        book, _ = await client.fetch(f"{mirror.url}/long.txt")
    assert book.text.size_bytes == book.source_size_bytes == len(body)


# --- Other sources ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uri", ["", "book.txt", "ftp://a.org/x", "gopher:x", ":x"])
async def test_an_unknown_scheme_names_the_known_ones(serve, uri: str) -> None:
    async with serve() as client:
        with pytest.raises(InvalidInput) as caught:
            await client.fetch(uri)
    assert caught.value.reason == "UNKNOWN_SCHEME"
    assert caught.value.metadata["choices"] == "gutenberg:, upload:, s3:, file:, https:, http:"


@pytest.mark.parametrize(
    "uri",
    ["gutenberg:", "gutenberg:x", "gutenberg:0", "gutenberg:-1", "gutenberg:1/../2", "upload:x", "upload:" + "A" * 64,
     "s3:bucket", "s3:/key", "file:", "file:a\0b", "https://", "https://u:p@127.0.0.1/x"],
)  # fmt: skip
async def test_a_malformed_address_is_refused(serve, tmp_path: Path, uri: str) -> None:
    async with serve(roots=str(tmp_path), s3_prefixes="bucket") as client:
        with pytest.raises(InvalidInput) as caught:
            await client.fetch(uri)
    assert caught.value.reason == "BAD_URI"


async def test_an_upload_is_read_and_verified(serve, store: Store) -> None:
    reference = store.put_bytes("uploads", TALE.encode("cp1252"))
    async with serve() as client:
        book, _ = await client.fetch(f"upload:{reference.sha256}")
        assert store.read(Reference.from_proto(book.text)) == PLAIN
        assert (book.source_url, book.source_sha256) == (f"upload:{reference.sha256}", reference.sha256)
        missing = sha256(b"missing")
        with pytest.raises(NotFound, match=f"PUT /v1/uploads/{missing}"):
            await client.fetch(f"upload:{missing}")


async def test_an_upload_that_was_changed_in_the_store_is_found_out(serve, store: Store) -> None:
    good = store.put_bytes("uploads", PLAIN)
    changed = sha256(b"what was put in")
    # The bytes of one under the name of another of the same length.
    store._client.put_object(store._bucket, f"uploads/{changed}", io.BytesIO(PLAIN), len(PLAIN))
    async with serve() as client:
        with pytest.raises(Corrupt):
            await client.fetch(f"upload:{changed}")
        await client.fetch(f"upload:{good.sha256}")


async def test_a_text_changed_in_the_store_is_no_answer(serve, store: Store, mirror: Mirror) -> None:
    mirror.put("/1/12/12-0.txt", PLAIN)
    async with serve(mirrors=mirror.url) as client:
        book, _ = await client.fetch("gutenberg:12")
        store.delete(book.text.key)
        again, recorded = await client.fetch("gutenberg:12")
    assert (again, recorded) == (book, False)
    assert store.read(Reference.from_proto(again.text)) == PLAIN


async def test_files_are_read_below_the_roots_alone(serve, tmp_path: Path) -> None:
    root, outside = tmp_path / "books", tmp_path / "outside"
    (root / "shelf").mkdir(parents=True)
    outside.mkdir()
    (root / "tale.txt").write_bytes(TALE.encode())
    (root / "shelf" / "two words.txt").write_bytes(TALE.encode())
    (outside / "secret.txt").write_bytes(b"secret text of another user\n")
    (root / "escape.txt").symlink_to(outside / "secret.txt")
    (root / "inner.txt").symlink_to(root / "tale.txt")
    (root / "loop.txt").symlink_to(root / "loop.txt")
    os.mkfifo(root / "pipe.txt")
    async with serve(roots=str(root)) as client:
        book, _ = await client.fetch(f"file:{root}/tale.txt")
        assert (book.source_url, book.encoding) == ("file:tale.txt", "utf-8")
        for uri in (f"file://{root}/tale.txt", "file:tale.txt", "file:shelf/../tale.txt", "file:inner.txt"):
            again, recorded = await client.fetch(uri)
            assert (again, recorded) == (book, True), uri
        for uri in (f"file://{root}/shelf/two%20words.txt", "file:shelf/two words.txt"):
            await client.fetch(uri)
        for uri in ("file:escape.txt", "file:../outside/secret.txt", f"file:{outside}/secret.txt", "file:/etc/passwd",
                    "file:../outside/absent.txt", "file:///etc/passwd", "file:../books-2/x"):  # fmt: skip
            with pytest.raises(PermissionDenied) as denied:
                await client.fetch(uri)
            assert denied.value.reason == "OUTSIDE_ROOTS", uri
        for uri in ("file:absent.txt", "file:shelf", "file:pipe.txt"):
            with pytest.raises(NotFound):
                await client.fetch(uri)
        with pytest.raises(BookmillError):
            await client.fetch("file:loop.txt")
    async with serve() as client:
        with pytest.raises(PermissionDenied, match="BOOKMILL_INGEST_ROOTS: none"):
            await client.fetch(f"file:{root}/tale.txt")


async def test_a_file_that_changed_is_another_book_and_its_folder_does_not_matter(serve, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "tale.txt").write_bytes(PLAIN)
    async with serve(roots=f"{one},{two}") as client:
        first, _ = await client.fetch(f"file:{one}/tale.txt")
        moved, recorded = await client.fetch(f"file:{two}/tale.txt")
        assert (moved, recorded) == (first, True)
        (one / "tale.txt").write_bytes(b"Another tale.\n")
        changed, recorded = await client.fetch(f"file:{one}/tale.txt")
    assert not recorded
    assert changed.source_sha256 == sha256(b"Another tale.\n")


async def test_objects_of_other_buckets_are_read_below_the_prefixes_alone(
    serve, store: Store, store_environment: dict[str, str]
) -> None:
    bucket = f"{store_environment['BOOKMILL_STORE_BUCKET']}-texts"
    store._client.make_bucket(bucket)
    for key, data in {"tales/a b.txt": TALE.encode(), "tales2/x.txt": PLAIN, "other/y.txt": PLAIN}.items():
        store._client.put_object(bucket, key, io.BytesIO(data), len(data))
    async with serve(s3_prefixes=f"{bucket}/tales", book_limit=len(TALE.encode())) as client:
        book, _ = await client.fetch(f"s3:{bucket}/tales/a b.txt")
        assert store.read(Reference.from_proto(book.text)) == PLAIN
        assert book.source_url == f"s3:{bucket}/tales/a b.txt"
        _, recorded = await client.fetch(f"s3://{bucket}/tales/a b.txt")
        assert recorded
        newer = b"A newer text.\n"
        store._client.put_object(bucket, "tales/a b.txt", io.BytesIO(newer), len(newer))
        changed, recorded = await client.fetch(f"s3:{bucket}/tales/a b.txt")
        assert (changed.source_sha256, recorded) == (sha256(newer), False)
        for uri in (f"s3:{bucket}/tales2/x.txt", f"s3:{bucket}/other/y.txt", f"s3:{bucket}x/tales/a"):
            with pytest.raises(PermissionDenied) as denied:
                await client.fetch(uri)
            assert denied.value.reason == "OUTSIDE_ROOTS"
        with pytest.raises(InvalidInput):
            await client.fetch(f"s3:{bucket}/tales/../other/y.txt")
        with pytest.raises(NotFound):
            await client.fetch(f"s3:{bucket}/tales/absent.txt")
        store._client.put_object(bucket, "tales/long.txt", io.BytesIO(PLAIN * 2), len(PLAIN) * 2)
        with pytest.raises(Refused) as refused:
            await client.fetch(f"s3:{bucket}/tales/long.txt")
        assert refused.value.reason == "TOO_LARGE"
    async with serve() as client:
        with pytest.raises(PermissionDenied, match="BOOKMILL_INGEST_S3_PREFIXES: none"):
            await client.fetch(f"s3:{bucket}/tales/a b.txt")


async def test_a_web_address_is_read_from_a_host_on_the_list(serve, mirror: Mirror) -> None:
    mirror.put("/a/tale.txt?edition=2", PLAIN)
    async with serve() as client:
        book, _ = await client.fetch(f"{mirror.url}/a/tale.txt?edition=2")
        assert book.source_url == f"{mirror.url}/a/tale.txt"
        _, recorded = await client.fetch(f"{mirror.url}/a/tale.txt?edition=2#chapter-3")
        assert recorded
        with pytest.raises(NotFound):
            await client.fetch(f"{mirror.url}/absent.txt")
        mirror.say("/closed.txt", 403)
        with pytest.raises(Unavailable):
            await client.fetch(f"{mirror.url}/closed.txt")
        with pytest.raises(PermissionDenied) as caught:
            await client.fetch("https://10.0.0.1/secret")
        assert caught.value.reason == "HOST_NOT_ALLOWED"
    async with serve(exempt_hosts=(), hosts=f"127.0.0.1:{mirror.port}") as client:
        with pytest.raises(PermissionDenied) as caught:
            await client.fetch(f"{mirror.url}/a/tale.txt?edition=3")
        assert caught.value.reason == "ADDRESS_NOT_ALLOWED"
    async with serve(exempt_hosts=(), hosts=f"127.0.0.1:{mirror.port}", exempt_networks="127.0.0.0/8") as client:
        await client.fetch(f"{mirror.url}/a/tale.txt?edition=2")
