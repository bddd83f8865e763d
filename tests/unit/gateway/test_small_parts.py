"""References, books, results, paging, events, the board: what is pure."""

import asyncio
import json
from collections.abc import AsyncGenerator
from dataclasses import fields

import pytest

from bookmill.v1 import chunk_pb2, clean_pb2, ingest_pb2, object_pb2, run_pb2
from services.common.errors import InvalidInput, NotFound, Unavailable
from services.gateway.active import first_view
from services.gateway.board import Board, Meter
from services.gateway.books import BookOnItsWay, SetAside
from services.gateway.paging import page_of
from services.gateway.patience import pause
from services.gateway.pipeline import PIPELINE
from services.gateway.references import referred_keys
from services.gateway.rest.events import event_id, events
from services.gateway.results import Books, State
from services.gateway.runs import Begun
from services.gateway.shelving import nothing_left


def test_the_pipeline_is_the_stages_that_the_proto_names() -> None:
    names = [stage.name for stage in PIPELINE]
    assert names == ["search", "fetch", "clean", "chunk", "dataset", "model", "train", "export", "publish", "report"]
    assert set(names) == {field.name for field in fields(State)}


def test_references_are_found_at_any_depth() -> None:
    value = {
        "a": {"key": "books/raw/1", "sha256": "x", "size": 1},
        "b": [
            {"c": {"key": "chunks/2", "sha256": "y", "size_bytes": "9", "more": {"key": "reports/3", "sha256": "z"}}}
        ],
        "d": {"key": "no-digest"},
        "e": ["upload:" + "f" * 64, "not an upload:" + "f" * 64],
        "g": {"key": "", "sha256": ""},
    }
    assert set(referred_keys(value)) == {"books/raw/1", "chunks/2", "reports/3", "uploads/" + "f" * 64}


BOOK = BookOnItsWay(
    ingest_pb2.Book(uri="gutenberg:900001"),
    ingest_pb2.FetchBookResponse(text=object_pb2.ObjectReference(key="k", sha256="a" * 64, size_bytes=2**40)),
    clean_pb2.CleanBookResponse(title="Of its header", author="Header, A."),
)


def test_what_the_catalogue_does_not_say_the_header_does() -> None:
    assert (BOOK.title, BOOK.authors) == ("Of its header", ("Header, A.",))
    named = BookOnItsWay(ingest_pb2.Book(uri="x", title="Named", authors=["One", "Two"]), cleaned=BOOK.cleaned)
    assert (named.title, named.authors) == ("Named", ("One", "Two"))
    assert BookOnItsWay(ingest_pb2.Book(uri="x")).authors == ()


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("gutenberg:84", "https://www.gutenberg.org/ebooks/84"),
        ("https://host/a", "https://host/a"),
        ("file:a", "file:a"),
    ],
)
def test_the_source_is_never_a_mirrors_address(uri: str, source: str) -> None:
    fetched = ingest_pb2.FetchBookResponse(source_url="http://127.0.0.1:1234/x")
    assert BookOnItsWay(ingest_pb2.Book(uri=uri), fetched).source == source


def test_a_result_comes_back_as_it_was() -> None:
    result = Books((BOOK,), (SetAside("u", "t", "fetch", "EMPTY", "it is empty"),), {"bytes": 3})
    assert Books.from_json(json.loads(json.dumps(result.to_json()))) == result


def test_digests_tell_books_and_order_apart() -> None:
    other = BookOnItsWay(ingest_pb2.Book(uri="b"), chunked=chunk_pb2.ChunkBookResponse(chunk_count=1))
    assert Books((BOOK, other)).digests() != Books((other, BOOK)).digests()
    # Which mirror answered is no part of what was made.
    moved = BookOnItsWay(
        BOOK.book, ingest_pb2.FetchBookResponse(text=BOOK.fetched.text, source_url="other"), BOOK.cleaned
    )
    assert Books((BOOK,)).digests() == Books((moved,)).digests()


def test_why_no_book_is_left_is_told_by_reason() -> None:
    refusals = [SetAside(str(n), "", "fetch", "EMPTY" if n else "PDF", "x") for n in range(3)]
    assert "fetch set aside every one of 3 books: EMPTY (2), PDF (1)" in nothing_left("fetch", refusals).message


@pytest.mark.parametrize(("tries", "low", "high"), [(1, 0.75, 1.25), (3, 3.0, 5.0), (50, 11.25, 18.75)])
def test_pauses_double_and_are_bounded(tries: int, low: float, high: float) -> None:
    assert all(low <= pause(tries, 1.0) <= high for _ in range(50))


def test_runs_of_one_moment_have_one_order() -> None:
    created = dict.fromkeys("cab", 5.0)
    first = page_of(created, 2, "")
    assert (first.ids, page_of(created, 2, first.next_token).ids) == (("a", "b"), ("c",))


@pytest.mark.parametrize("token", ["x", "W10", "eyJhIjoxfQ", "bm90IGpzb24"])
def test_a_token_that_no_list_gave_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        page_of({"a": 1.0}, 5, token)
    assert caught.value.reason == "BAD_PAGE_TOKEN"


async def test_a_board_wakes_those_who_wait() -> None:
    board = Board(first_view(Begun("r", run_pb2.RunSpec(), 1.0)))
    waiting = asyncio.create_task(board.wait(board.version))
    meter = Meter(board, "fetch")
    meter.begin("fetch", 4, "books")
    assert await waiting == board.version
    meter.advance(recorded=True)
    assert not board.stage("fetch").progress.HasField("remaining_seconds"), "records say nothing of the rate"
    meter.advance()
    meter.advance(refused=True)
    stage = board.stage("fetch")
    assert (stage.progress.completed, stage.recorded, stage.refused) == (3, 1, 1)
    assert stage.progress.HasField("remaining_seconds")


async def test_a_wait_is_shown_until_it_is_over() -> None:
    board = Board(first_view(Begun("r", run_pb2.RunSpec(), 1.0)))
    meter = Meter(board, "clean")
    meter.begin("clean", 4, "books")
    meter.waiting("waiting for clean: refused")
    assert board.stage("clean").progress.activity.startswith("waiting")
    meter.going_on()
    assert board.stage("clean").progress.activity == "clean"


async def _runs(*states: int, error: Exception | None = None, pause: float = 0) -> AsyncGenerator[run_pb2.Run, None]:
    for state in states:
        await asyncio.sleep(pause)
        yield run_pb2.Run(name="runs/r", state=state)  # type: ignore[arg-type]
    if error is not None:
        raise error


async def test_events_tell_of_errors_but_not_of_a_gateway_that_stops() -> None:
    deleted = [e async for e in events(_runs(2, error=NotFound("NO_SUCH_RUN", "it was deleted")), None)]
    assert deleted[-1].startswith(b"event: error\ndata: {")
    stopped = [e async for e in events(_runs(2, error=Unavailable("GATEWAY_STOPPING", "x")), None)]
    assert stopped[-1].startswith(b"id: ")


async def test_events_beat_in_silence_and_skip_what_was_seen() -> None:
    sent = [e async for e in events(_runs(2, 4, pause=0.05), event_id(run_pb2.Run(name="runs/r", state=2)), 0.01)]
    assert sent[0] == b"retry: 1000\n\n"
    assert b": still here\n\n" in sent
    assert [e for e in sent if e.startswith(b"id:")] == [sent[-1]]
    assert b"STATE_SUCCEEDED" in sent[-1]
