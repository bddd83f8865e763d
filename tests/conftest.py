"""Fixtures that all tests share: a real S3 server, and a fresh bucket of it."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli import embedded_store
from services.common.settings import StoreSettings
from services.common.storage import Store

# Before torch is imported: waiting threads sleep, so that tests do not take the cores from the servers they talk to.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Read when huggingface_hub is imported, by transformers too: publishing speaks the Hub's plain protocol.
os.environ["HF_HUB_DISABLE_XET"] = "1"

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Puts the environment back: a job's program, run in this process, prepares it for itself."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running S3 server, as the BOOKMILL_STORE_* settings that reach it."""
    server = embedded_store.start(tmp_path_factory.mktemp("s3"))
    yield server.environment
    server.stop()


@pytest.fixture
def store_environment(s3: dict[str, str]) -> Iterator[dict[str, str]]:
    """Settings of a fresh bucket, for programs that a test starts."""
    bucket = f"test-{os.getpid()}-{next(_numbers)}"
    environment = {**s3, "BOOKMILL_STORE_BUCKET": bucket}
    store = store_of(environment)
    store.ensure_bucket()
    yield environment
    # SeaweedFS gives each bucket volumes of its own and has room for some seventy of them.
    store._client.remove_bucket(bucket_name=bucket)


@pytest.fixture
def store(store_environment: dict[str, str]) -> Store:
    """A store on a fresh bucket."""
    return store_of(store_environment)


def store_of(environment: dict[str, str]) -> Store:
    """Opens the store that settings name."""
    return Store(
        StoreSettings(
            endpoint=environment["BOOKMILL_STORE_ENDPOINT"],
            bucket=environment["BOOKMILL_STORE_BUCKET"],
            access_key_file=Path(environment["BOOKMILL_STORE_ACCESS_KEY_FILE"]),
            secret_key_file=Path(environment["BOOKMILL_STORE_SECRET_KEY_FILE"]),
        )
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real books and recordings beside the checkout; a test that needs it skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("no folder of real books beside the checkout (../shared)")
    return folder
