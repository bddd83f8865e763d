"""`bookmill clean`: texts on disk, in folders and in archives, with no service."""

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from services.clean.cleaning import clean as clean_text
from services.cli.clean import clean_files
from services.common.errors import InvalidInput
from tests.support.gutenberg import BODY, LICENCE, framed

QUIET = Console(quiet=True)
BOOK = framed(BODY)
PROSE = clean_text(BOOK).text


def cleaned(*paths: Path, output: Path, workers: int = 1) -> tuple[int, dict[str, Any]]:
    report = output.parent / "report.json"
    code = clean_files(paths, output, report, workers=workers, console=QUIET)
    return code, json.loads(report.read_text(encoding="utf-8"))


def texts_of(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


def test_files_folders_and_archives_give_texts_under_their_own_names(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.txt").write_text(BOOK, encoding="utf-8")
    (tmp_path / "in" / "picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "in" / ".hidden.txt").write_text(BOOK, encoding="utf-8")
    (tmp_path / "named-without-suffix").write_bytes(b"\xef\xbb\xbf" + BOOK.replace("\n", "\r\n").encode())
    with zipfile.ZipFile(tmp_path / "in" / "b.zip", "w") as archive:
        archive.writestr("folder/b.txt", BOOK.encode("cp1252"))
        archive.writestr("folder/b.jpg", b"\xff\xd8\xff")
    (tmp_path / "c.txt").write_text(BOOK, encoding="utf-8")
    with tarfile.open(tmp_path / "c.tar.xz", "w:xz") as tar:
        tar.add(tmp_path / "c.txt", "books/c.txt")
    code, report = cleaned(
        tmp_path / "in", tmp_path / "named-without-suffix", tmp_path / "c.tar.xz", output=tmp_path / "out"
    )
    assert code == 0
    assert texts_of(tmp_path / "out") == dict.fromkeys(("a.txt", "b.txt", "c.txt", "named-without-suffix"), PROSE)
    assert [book["name"] for book in report["books"]] == ["a.txt", "b.txt", "c.txt", "named-without-suffix"]
    assert report["characters_out"] == 4 * len(PROSE)
    assert report["removed"]["frame"] > 0
    assert report["books"][0]["metadata"]["title"].startswith("The Lamp")


def test_a_refused_text_is_absent_and_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text(BOOK, encoding="utf-8")
    (tmp_path / "licence.txt").write_text(LICENCE, encoding="utf-8")
    (tmp_path / "page.txt").write_text("<!DOCTYPE html><p>No book", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "page.txt").write_text("of an earlier call", encoding="utf-8")
    code, report = cleaned(*sorted(tmp_path.glob("*.txt")), output=tmp_path / "out")
    assert code == 0
    assert texts_of(tmp_path / "out") == {"good.txt": PROSE}
    assert [(r["name"], r["reason"]) for r in report["refused"]] == [
        ("licence.txt", "ONLY_LICENCE"),
        ("page.txt", "HTML"),
    ]


def test_all_refused_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "licence.txt").write_text(LICENCE, encoding="utf-8")
    code, report = cleaned(tmp_path / "licence.txt", output=tmp_path / "out")
    assert (code, report["books"], texts_of(tmp_path / "out")) == (1, [], {})


def test_many_files_in_several_processes_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(12):
        (tmp_path / "in" / f"{number:02}.txt").write_text(framed(f"{number} lamps.\n\n{BODY}"), encoding="utf-8")
    _, one = cleaned(tmp_path / "in", output=tmp_path / "one")
    _, two = cleaned(tmp_path / "in", output=tmp_path / "two", workers=2)
    assert texts_of(tmp_path / "one") == texts_of(tmp_path / "two")
    assert one == two


@pytest.mark.parametrize(
    ("name", "reason"),
    [("absent.txt", "NO_SUCH_FILE"), ("empty", "NO_TEXTS"), ("broken.zip", "BAD_ARCHIVE"), ("same", "SAME_NAME")],
)
def test_what_cannot_be_done_says_so_before_anything_is_written(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("x", "y"):
        (tmp_path / "same" / folder).mkdir(parents=True)
        (tmp_path / "same" / folder / "a.txt").write_text(BOOK, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "broken.zip", "w") as archive:
        archive.writestr("a.txt", BOOK)
    whole = (tmp_path / "broken.zip").read_bytes()
    (tmp_path / "broken.zip").write_bytes(whole.replace(b"PK\x01\x02", b"PK\x09\x09"))
    with pytest.raises(InvalidInput) as error:
        clean_files([tmp_path / name], tmp_path / "out", console=QUIET)
    assert error.value.reason == reason
    assert not (tmp_path / "out").exists()


def test_a_text_is_never_overwritten_by_its_clean_form(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(BOOK, encoding="utf-8")
    with pytest.raises(InvalidInput, match="OUTPUT_IS_INPUT"):
        clean_files([tmp_path], tmp_path, console=QUIET)
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == BOOK
