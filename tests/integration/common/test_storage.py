import hashlib
from io import BytesIO
from pathlib import Path

import pytest

from services.common.errors import Corrupt, Exhausted, NotFound, PermissionDenied, Unavailable
from services.common.objects import Reference
from services.common.settings import StoreSettings
from services.common.storage import Store


def test_bytes_come_back_and_are_named_by_their_hash(store: Store) -> None:
    reference = store.put_bytes("books/raw", b"It was a dark night.")
    assert reference.key == f"books/raw/{hashlib.sha256(b'It was a dark night.').hexdigest()}"
    assert store.read(reference) == b"It was a dark night."
    assert store.put_bytes("books/raw", b"It was a dark night.") == reference


def test_a_large_file_goes_in_parts_and_comes_back(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "large"
    source.write_bytes(b"0123456789abcdef" * (37 << 16))  # 37 MiB: three parts
    reference = store.put_file("models", source, ".gguf")
    store.download(reference, tmp_path / "there" / "back")
    assert (tmp_path / "there" / "back").read_bytes() == source.read_bytes()
    assert b"".join(store.stream(reference.key, 20 << 20, 5)) == b"01234"


def test_a_changed_object_is_found_before_use(store: Store, tmp_path: Path) -> None:
    reference = store.put_bytes("books/clean", b"true")
    store._client.put_object(store._bucket, reference.key, BytesIO(b"fals"), 4)
    with pytest.raises(Corrupt, match="CORRUPT_OBJECT"):
        store.read(reference)
    with pytest.raises(Corrupt):
        store.download(reference, tmp_path / "file")
    assert list(tmp_path.iterdir()) == [], "a file that is not verified must not appear"


def test_a_shorter_object_is_found(store: Store) -> None:
    reference = store.put_bytes("books/clean", b"a whole text")
    store._client.put_object(store._bucket, reference.key, BytesIO(b"a"), 1)
    with pytest.raises(Corrupt):
        store.read(reference)


def test_what_is_not_there(store: Store) -> None:
    missing = Reference("books/raw/" + "0" * 64, "0" * 64, 3)
    with pytest.raises(NotFound, match="NO_SUCH_OBJECT"):
        store.read(missing)
    assert store.stat(missing.key) is None
    assert store.get_record("results/x/y.json") is None
    store.delete(missing.key)


def test_reading_is_bounded(store: Store) -> None:
    with pytest.raises(Exhausted, match="OBJECT_TOO_LARGE"):
        store.read(store.put_bytes("books/raw", b"x" * 100), limit=99)


def test_a_folder_is_named_by_what_is_in_it(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "weights").write_bytes(b"\0" * 1000)
    (folder / "empty").write_bytes(b"")
    reference = store.put_folder("models", folder)
    assert reference.key == f"models/{reference.sha256}/manifest.json"
    assert [f.path for f in store.folder(reference)] == ["config.json", "empty", "sub/weights"]
    store.download_folder(reference, tmp_path / "back")
    assert (tmp_path / "back" / "sub" / "weights").read_bytes() == b"\0" * 1000
    assert store.put_folder("models", tmp_path / "back") == reference
    assert store.read(store.file_of(reference, "config.json")) == b"{}"
    with pytest.raises(NotFound, match="sub/weights"):
        store.file_of(reference, "model.bin")


def test_a_folder_that_was_not_finished_is_none(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    reference = store.put_folder("models", tmp_path)
    store.delete(reference.key)
    with pytest.raises(NotFound):
        store.folder(reference)
    assert store.put_folder("models", tmp_path) == reference
    assert [f.path for f in store.folder(reference)] == ["a"]


def test_records_are_replaced_and_listed_in_order(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.put_record(f"runs/{name}.json", {"name": name, "of": 1})
    store.put_record("runs/a.json", {"name": "ä", "of": 2})
    assert store.get_record("runs/a.json") == {"name": "ä", "of": 2}
    assert list(store.list("runs/")) == ["runs/a.json", "runs/b.json", "runs/c.json"]


@pytest.mark.parametrize("key", ["/a", "a//b", "a/../b", "", "a/", "a b", "a/./b"])
def test_keys_are_built_from_hashes_and_ids_alone(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        store.stat(key)


def test_wrong_credentials_are_told(s3: dict[str, str]) -> None:
    settings = StoreSettings(endpoint=s3["BOOKMILL_STORE_ENDPOINT"], access_key="nobody", secret_key="knows")
    with pytest.raises(PermissionDenied, match="STORE_FORBIDDEN"):
        Store(settings).get_record("runs/a.json")


def test_a_store_that_is_away_is_told() -> None:
    settings = StoreSettings(endpoint="127.0.0.1:9", access_key="a", secret_key="b")
    with pytest.raises(Unavailable, match="STORE_UNAVAILABLE"):
        Store(settings).ensure_bucket()
