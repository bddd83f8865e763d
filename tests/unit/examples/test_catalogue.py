"""The catalogue answers as Gutendex's recorded answers do, over real HTTP."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.examples import catalogue
from deploy.examples.shelf import Shelf, mirror_folder
from tests.support.catalogue import GARBAGE, HTML, SERVER_ERROR, TALES, TOO_MANY, Faulty

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with catalogue.start(TALES, page_size=5) as server, httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def ids(answer: httpx.Response) -> list[int]:
    return [book["id"] for book in answer.json()["results"]]


def test_books_redirects_and_keeps_the_query(client: httpx.Client) -> None:
    assert client.get("/books").headers["location"] == "/books/"
    answer = client.get("/books?topic=sea")
    assert (answer.status_code, answer.headers["location"]) == (301, "/books/?topic=sea")


def test_pages_lead_from_one_to_the_next(client: httpx.Client) -> None:
    seen: list[int] = []
    url: str | None = "/books/?topic=horror&languages=en"
    pages = 0
    while url:
        answer = client.get(url)
        assert answer.json()["count"] == 13
        seen += ids(answer)
        url = answer.json()["next"]
        pages += 1
    assert pages == 3
    assert sorted(seen) == list(range(900001, 900014))
    second = client.get("/books/?page=2&topic=horror").json()
    assert second["next"] == f"{client.base_url}/books/?page=3&topic=horror"
    assert second["previous"] == f"{client.base_url}/books/?topic=horror"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("topic=LIGHTHOUSE", [900002]),
        ("topic=zzz", []),
        ("search=salt+tarrant", [900001, 900013]),
        ("search=bell+corrie", []),
        ("languages=fr,de", []),
        ("languages=fr,en&ids=900003,900001", [900001, 900003]),
        ("ids=900003,x&topic=lighthouse", [900002]),
        ("copyright=true", []),
        ("copyright=true,false&ids=900002", [900002]),
        ("mime_type=audio", [900013]),
        ("ids=900001,900002,900003&sort=descending", [900003, 900002, 900001]),
        ("nonsense=1&ids=900002", [900002]),
        ("topic=&ids=900002", [900002]),
    ],
)
def test_filters(client: httpx.Client, query: str, found: list[int]) -> None:
    assert ids(client.get(f"/books/?{query}")) == found


@pytest.mark.parametrize("page", ["0", "4", "x", "-1", ""])
def test_a_page_that_is_none(client: httpx.Client, page: str) -> None:
    answer = client.get(f"/books/?page={page}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})


def test_one_record(client: httpx.Client) -> None:
    record = client.get("/books/900004/").json()
    assert record["title"] == "The Clockmaker of Besançon"
    url = f"{client.base_url}/ebooks/900004.txt.utf-8"
    assert record["formats"] == {"text/plain; charset=iso-8859-1": url}
    missing = client.get("/books/7/")
    assert (missing.status_code, missing.json()) == (404, {"detail": "No Book matches the given query."})


def test_answers_have_the_form_of_the_recorded_ones(client: httpx.Client) -> None:
    recordings = ROOT.parent / "shared" / "gutendex"
    if not recordings.is_dir():
        pytest.skip(f"no recorded answers at {recordings}")
    recorded = json.loads((recordings / "01.json").read_text(encoding="utf-8"))
    ours = client.get("/books/").json()
    assert list(ours) == list(recorded)
    assert list(ours["results"][0]) == list(recorded["results"][0])
    assert {field: type(value) for field, value in ours["results"][0].items()} == {
        field: type(value) for field, value in recorded["results"][0].items()
    }


@pytest.mark.parametrize("path", ["/files/900001/900001-0.txt", "/9/0/0/0/0/900001/900001-0.txt"])
def test_files_whole_and_in_part(client: httpx.Client, path: str) -> None:
    whole = client.get(path)
    assert whole.content == (TALES / "900001-0.txt").read_bytes()
    rest = client.get(path, headers={"Range": "bytes=5000-", "If-Range": whole.headers["etag"]})
    assert (rest.status_code, rest.content) == (206, whole.content[5000:])
    assert rest.headers["content-range"] == f"bytes 5000-{len(whole.content) - 1}/{len(whole.content)}"
    assert client.get(path, headers={"Range": "bytes=5-9"}).content == whole.content[5:10]
    assert client.get(path, headers={"Range": "bytes=5-", "If-Range": '"other"'}).status_code == 200
    assert client.get(path, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    head = client.head(path)
    assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")


def test_the_stable_address_redirects_to_the_text(client: httpx.Client) -> None:
    answer = client.get("/ebooks/900002.txt.utf-8")
    assert answer.status_code == 302
    assert answer.headers["location"] == f"{client.base_url}/cache/epub/900002/pg900002.txt"
    followed = client.get("/ebooks/900002.txt.utf-8", follow_redirects=True)
    assert followed.content == (TALES / "900002-0.txt").read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/ebooks/900003.txt.utf-8",
        "/cache/epub/900001/pg900002.txt",
        "/files/900001/900002-0.txt",
        "/files/900001/index.json",
        "/files/900001/..%2findex.json",
        "/9/0/0/900001/900001-0.txt",
    ],
)
def test_what_is_not_there(client: httpx.Client, path: str) -> None:
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("number", "folder"), [(7, "0/7"), (84, "8/84"), (1234, "1/2/3/1234")])
def test_mirror_folders(number: int, folder: str) -> None:
    assert mirror_folder(number) == folder


@pytest.mark.parametrize("index", ["", "[]", '{"books": [{"id": 1}]}', "{"])
def test_a_wrong_index(tmp_path: Path, index: str) -> None:
    (tmp_path / "index.json").write_text(index)
    with pytest.raises(ValueError, match=r"index\.json"):
        Shelf.read(tmp_path)


def test_the_program_serves_until_it_is_told_to_stop() -> None:
    program = subprocess.Popen(
        [sys.executable, "-m", "deploy.examples.catalogue", "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout
        url = program.stdout.readline().removeprefix("catalogue at ").strip()
        assert httpx.get(url, timeout=10).json()["count"] == 13
        program.terminate()
        assert program.wait(10) == 0
    finally:
        program.kill()
        program.wait()
        assert program.stdout
        program.stdout.close()


def test_the_program_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert catalogue.main(["--books", str(tmp_path)]) == 2
    assert "index.json" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert catalogue.main(["--port", str(taken.getsockname()[1])]) == 2


def test_faults(tmp_path: Path) -> None:
    shutil.copytree(TALES, tmp_path / "books")
    with Faulty(tmp_path / "books", page_size=4) as faulty, httpx.Client(base_url=faulty.url) as client:
        for answer in (TOO_MANY, SERVER_ERROR, HTML, GARBAGE):
            faulty.fail("/books/", answer, times=1)
        assert [client.get("/books/").status_code for _ in range(5)] == [429, 500, 200, 200, 200]
        assert len(faulty.asked("/books/")) == 5

        faulty.cut("/files/", after=100)
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/files/900001/900001-0.txt")
        assert client.get("/files/900001/900001-0.txt").status_code == 200

        faulty.hang("/files/", times=1)
        with pytest.raises(httpx.ReadTimeout):
            client.get("/files/900001/900001-0.txt", timeout=0.2)

        faulty.reorder(after=1)
        first, second = client.get("/books/"), client.get("/books/?page=2")
        assert ids(first) == [900001, 900002, 900003, 900004]
        assert ids(second) == [900006, 900007, 900013, 900008]
