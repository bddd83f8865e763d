from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from services.common.workers import Workers
from tests.support.ingest_service import Client, ingest_service
from tests.support.mirror import Mirror

Serve = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture(scope="session")
def workers() -> Iterator[Workers]:
    pool = Workers(1)
    yield pool
    pool.close()


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror() as running:
        yield running


@pytest.fixture
def serve(store_environment: dict[str, str], tmp_path: Path, workers: Workers) -> Serve:
    """Starts the service with settings of the test, on the bucket of the fixture `store`."""
    return partial(ingest_service, store_environment, tmp_path / "work", workers)
