from pathlib import Path

import pytest

from services.common.storage import Store
from tests.support.fake_jobs import Workplace


@pytest.fixture
def place(tmp_path: Path, store: Store, store_environment: dict[str, str]) -> Workplace:
    return Workplace.at(tmp_path, store, store_environment)
