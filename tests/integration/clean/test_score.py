"""The cleaning of real books, measured against their reference bounds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from services.cli.clean import clean_files

LEAST = 68
"""Of 74 books whose frame, credits and body must all come out right."""


@pytest.mark.slow
def test_real_books_come_out_right(shared: Path, tmp_path: Path) -> None:
    books = shared / "books"
    assert clean_files([books / "books.tar.xz"], tmp_path / "clean", console=Console(quiet=True)) == 0
    scored = subprocess.run(
        [sys.executable, str(books / "score"), str(tmp_path / "clean"), "--verbose"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={"TMPDIR": str(tmp_path)},
    )
    right = re.search(r"right (\d+) of 74", scored.stdout)
    assert right is not None, scored.stdout + scored.stderr
    assert int(right[1]) >= LEAST, scored.stdout
