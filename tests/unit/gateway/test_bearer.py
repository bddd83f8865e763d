"""The token, links that stand in for it, and the settings that demand it."""

from pathlib import Path

import pytest

from services.common.errors import Unauthenticated
from services.common.settings import load
from services.gateway.bearer import Bearer, read_token
from services.gateway.rest.links import LINK_SECONDS, check_link, is_link, signed
from services.gateway.settings import GatewaySettings, refuse_exposure

TOKEN = "correct-horse.battery~staple=="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    return path


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (f"Bearer {TOKEN}", None),
        (f"bearer  {TOKEN} ".encode(), None),
        (None, "NO_TOKEN"),
        ("", "NO_TOKEN"),
        ("Bearer", "NO_TOKEN"),
        ("Bearer  ", "NO_TOKEN"),
        (TOKEN, "NO_TOKEN"),
        (f"Basic {TOKEN}", "NO_TOKEN"),
        (f"Bearer {TOKEN}x", "BAD_TOKEN"),
        (f"Bearer {TOKEN[:-1]}", "BAD_TOKEN"),
        (f"Bearer {TOKEN.upper()}", "BAD_TOKEN"),
        (f"Bearer {TOKEN} {TOKEN}", "BAD_TOKEN"),
        ("Bearer é\udcff", "BAD_TOKEN"),
        (b"Bearer \xff\x00", "BAD_TOKEN"),
    ],
)
def test_only_the_token_itself_is_taken(file: Path, authorization: str | bytes | None, reason: str | None) -> None:
    bearer = Bearer(file)
    if reason is None:
        bearer.check(authorization)
        return
    with pytest.raises(Unauthenticated) as caught:
        bearer.check(authorization)
    assert caught.value.reason == reason
    assert TOKEN not in str(caught.value)


def test_a_rotated_token_is_taken_and_the_old_one_no_longer(file: Path) -> None:
    bearer = Bearer(file)
    new = file.with_name("new")
    new.write_text(TOKEN[::-1].strip("=") + "x")
    new.replace(file)  # as Kubernetes swaps what a Secret's files lead to
    bearer.check(f"Bearer {read_token(file).decode()}")
    with pytest.raises(Unauthenticated, match="BAD_TOKEN"):
        bearer.check(f"Bearer {TOKEN}")


@pytest.mark.parametrize("broken", [b"", b"two words here, of some length", None])
def test_a_file_that_becomes_unusable_leaves_the_last_token_in_force(file: Path, broken: bytes | None) -> None:
    bearer = Bearer(file)
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken)
    bearer.check(f"Bearer {TOKEN}")
    with pytest.raises(Unauthenticated):
        bearer.check("Bearer two words here, of some length")
    file.write_text("another-token-of-length")
    bearer.check("Bearer another-token-of-length")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"short", "5 characters"),
        (b"two words, of some length", "holds no token"),
        ("ünïcödé-of-some-length".encode(), "holds no token"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_stops_the_start_and_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    said: str,
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("BOOKMILL_GATEWAY_TOKEN_FILE", str(path))
    with pytest.raises(SystemExit) as caught:
        load(GatewaySettings)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("setting BOOKMILL_GATEWAY_TOKEN_FILE: ")
    assert str(path) in told
    assert said in told
    assert not content or len(content) < 3 or content.decode().strip() not in told


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "localhost", "::1", "[::1]"])
def test_on_loopback_no_token_is_needed(host: str) -> None:
    refuse_exposure(host, GatewaySettings())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "", "10.1.2.3", "gateway.example", "localhost.example"])
def test_elsewhere_a_token_is_needed_or_the_word_that_none_is(
    file: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    refuse_exposure(host, GatewaySettings(token_file=file))
    refuse_exposure(host, GatewaySettings(allow_anonymous=True))
    with pytest.raises(SystemExit) as caught:
        refuse_exposure(host, GatewaySettings())
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("setting BOOKMILL_GATEWAY_TOKEN_FILE: ")
    assert "BOOKMILL_GATEWAY_ALLOW_ANONYMOUS" in told


PATH = "/v1/runs/abc/files/a b/ü.gguf"


def _parts(link: str) -> tuple[str, bytes]:
    path, _, query = link.partition("?")
    return path, query.encode()


def test_a_link_opens_its_file_for_its_time() -> None:
    path, query = _parts(signed(PATH, TOKEN.encode(), 1000.5))
    assert path == "/v1/runs/abc/files/a%20b/%C3%BC.gguf"
    assert is_link(query)
    check_link(PATH, query, TOKEN.encode(), 1000.5 + LINK_SECONDS - 1)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/v1/runs/abc/files/other"},
        {"token": b"another-token-of-length"},
        {"now": 1001.5 + LINK_SECONDS},
        {"query": (b"expires=1", b"expires=9")},
        {"query": (b"signature=", b"signature=A")},
        {"query": (b"expires=", b"expired=")},
        {"query": (b"signature=", b"signature=%FF%C3")},
    ],
)
def test_a_link_opens_nothing_else(change: dict) -> None:
    _, query = _parts(signed(PATH, TOKEN.encode(), 1000.5))
    if isinstance(change.get("query"), tuple):
        change = {"query": query.replace(*change["query"])}
        assert change["query"] != query
    given = {"path": PATH, "query": query, "token": TOKEN.encode(), "now": 1000.5} | change
    with pytest.raises(Unauthenticated, match="BAD_LINK"):
        check_link(**given)


@pytest.mark.parametrize("query", [b"", b"expires=1", b"signature", b"page_size=3"])
def test_what_is_no_link(query: bytes) -> None:
    assert not is_link(query)
