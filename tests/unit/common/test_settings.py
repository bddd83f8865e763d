from pathlib import Path

import pytest

from services.common.settings import ServerSettings, StoreSettings, load


def test_a_wrong_setting_is_named_and_its_value_kept_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BOOKMILL_STORE_ACCESS_KEY", "canary")
    monkeypatch.setenv("BOOKMILL_STORE_ENDPOINT", "http://x/")
    with pytest.raises(SystemExit) as exit_info:
        load(StoreSettings)
    assert exit_info.value.code == 2
    told = capsys.readouterr().err
    assert "BOOKMILL_STORE_ENDPOINT" in told
    assert "canary" not in told


@pytest.mark.parametrize("missing", ["access_key", "secret_key"])
def test_a_missing_key_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in {"access_key", "secret_key"} - {missing}:
        monkeypatch.setenv(f"BOOKMILL_STORE_{name.upper()}", "canary")
    with pytest.raises(SystemExit):
        load(StoreSettings)
    told = capsys.readouterr().err
    assert missing in told
    assert "canary" not in told


def test_a_key_is_read_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    monkeypatch.setenv("BOOKMILL_STORE_ACCESS_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("BOOKMILL_STORE_SECRET_KEY", "s")
    settings = load(StoreSettings)
    assert settings.access_key is not None
    assert settings.access_key.get_secret_value() == "from-a-file"
    assert "from-a-file" not in repr(settings)


def test_numbers_have_bounds(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BOOKMILL_PORT", "70000")
    with pytest.raises(SystemExit):
        load(ServerSettings)
    assert "BOOKMILL_PORT" in capsys.readouterr().err
