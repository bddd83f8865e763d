from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from services.common.settings import StoreSettings
from services.ingest.settings import IngestSettings


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BOOKMILL_INGEST_HOSTS", "a.org, *.b.org ,")
    monkeypatch.setenv("BOOKMILL_INGEST_MIRRORS", "")
    monkeypatch.setenv("BOOKMILL_INGEST_EXEMPT_NETWORKS", "10.0.0.0/8,fd00::/8")
    monkeypatch.setenv("BOOKMILL_INGEST_ROOTS", str(tmp_path))
    settings = IngestSettings()
    assert settings.hosts == ("a.org", "*.b.org")
    assert settings.mirrors == ()
    assert [str(network) for network in settings.exempt_networks] == ["10.0.0.0/8", "fd00::/8"]
    assert settings.roots == (tmp_path,)


def test_nothing_of_the_machine_is_open_by_default() -> None:
    settings = IngestSettings()
    assert (settings.roots, settings.s3_prefixes, settings.exempt_hosts, settings.exempt_networks) == ((), (), (), ())
    assert settings.seconds_between_requests == 2.0
    assert settings.hub_token() == ""


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("roots", "relative"),
        ("roots", "/no/such/folder"),
        ("mirrors", "mirror.org"),
        ("mirrors", "ftp://mirror.org"),
        ("exempt_networks", "10.0.0.1/8"),
        ("exempt_networks", "everything"),
        ("catalogue_url", "gutendex.com"),
        ("catalogue_name", "a b"),
        ("hub_token_file", "/no/such/file"),
        ("s3_endpoint", "s3.local:9000"),
        ("seconds_between_requests", "-1"),
        ("book_limit", "0"),
        ("user_agent", "line\nbreak"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, setting: str, value: str) -> None:
    monkeypatch.setenv(f"BOOKMILL_INGEST_{setting.upper()}", value)
    with pytest.raises(ValidationError, match=setting):
        IngestSettings()


@pytest.mark.parametrize("url", ["https://g.org", "https://g.org/", "https://g.org/books/", "https://g.org/books"])
def test_a_catalogue_may_be_named_with_its_books(url: str) -> None:
    assert IngestSettings(catalogue_url=url).catalogue_url == "https://g.org"


def test_the_catalogue_and_the_mirrors_need_not_be_listed_again() -> None:
    settings = IngestSettings(
        hosts="", catalogue_url="http://c.org:8600", mirrors="https://m.org/gutenberg/", hub_endpoint="http://[::1]:80"
    )
    assert settings.mirrors == ("https://m.org/gutenberg",)
    assert settings.guard().hosts == ("c.org:8600", "m.org")
    assert settings.hub_guard().hosts[0] == "[::1]:80"


def test_the_stores_keys_go_to_no_other_server(tmp_path: Path) -> None:
    for name in ("access", "secret"):
        (tmp_path / name).write_text(f"other-{name}\n")
    store = StoreSettings(access_key=SecretStr("a"), secret_key=SecretStr("s"))
    assert IngestSettings().buckets(store) == store
    settings = IngestSettings(
        s3_endpoint="s3.org:443", s3_access_key_file=tmp_path / "access", s3_secret_key_file=tmp_path / "secret"
    )
    other = settings.buckets(store)
    assert other.access_key is not None
    assert (other.endpoint, other.secure, other.access_key.get_secret_value()) == ("s3.org:443", True, "other-access")
