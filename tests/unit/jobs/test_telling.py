import json
from pathlib import Path

import pytest

from services.jobs.telling import tell


@pytest.mark.parametrize("message", ["short", "x" * 100_000, "é" * 100_000, '\n\t"\\' * 5000, ""])
def test_what_is_told_can_be_read_and_is_short(tmp_path: Path, message: str) -> None:
    path = tmp_path / "end"
    tell(path, "STORE_FULL", message)
    assert path.stat().st_size <= 4096
    told = json.loads(path.read_bytes())
    assert told["reason"] == "STORE_FULL"
    assert message.startswith(told["message"])
    assert len(told["message"]) >= min(len(message), 500)


def test_nobody_listens_and_nothing_fails(tmp_path: Path) -> None:
    tell(None, "CRASHED", "x")
    tell(tmp_path, "CRASHED", "a folder is no file")
