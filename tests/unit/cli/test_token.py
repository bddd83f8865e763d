"""The token of the command."""

from pathlib import Path

import pytest
import typer

from services.cli.__main__ import app
from services.cli.options import read_token


def test_every_command_that_takes_a_server_takes_a_token() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    options = {name: {option for p in command.params for option in p.opts} for name, command in commands.items()}
    asking = {name for name, has in options.items() if "--server" in has}
    assert asking >= {"run", "runs", "show", "cancel", "delete", "download", "models", "sample", "prune"}
    assert {name for name, has in options.items() if "--token-file" in has} == asking


@pytest.mark.parametrize(
    ("content", "environment", "token"),
    [
        (" abc\n", None, "abc"),
        ("abc", "other", "abc"),
        (None, " other\n", "other"),
        (None, None, ""),
        (None, "", ""),
    ],
)
def test_the_file_comes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, environment: str | None, token: str
) -> None:
    monkeypatch.delenv("BOOKMILL_TOKEN", raising=False)
    if environment is not None:
        monkeypatch.setenv("BOOKMILL_TOKEN", environment)
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    assert read_token(str(file) if content is not None else None) == token


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", "é".encode(), b"\xff", None])
def test_a_file_that_holds_no_token_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(typer.BadParameter, match=str(file)):
        read_token(str(file))


def test_an_environment_that_holds_no_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOKMILL_TOKEN", "two words")
    with pytest.raises(typer.BadParameter, match="BOOKMILL_TOKEN"):
        read_token(None)
