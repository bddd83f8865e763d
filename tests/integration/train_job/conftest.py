"""A small training in a fresh bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bookmill.v1 import train_pb2
from services.common.storage import Store
from tests.support.training import TrainingProgram, hyperparameters, put_dataset, put_model


@pytest.fixture
def program(store: Store, store_environment: dict[str, str], tmp_path: Path) -> TrainingProgram:
    spec = train_pb2.TrainingSpec(
        dataset=put_dataset(store, tmp_path / "dataset").to_proto(),
        base_model=put_model(store, tmp_path / "model").to_proto(),
        hyperparameters=hyperparameters(),
    )
    return TrainingProgram(spec, tmp_path / "program", store, store_environment)


@pytest.fixture
def _arithmetic() -> Iterator[None]:
    """Sets back what a training sets for its process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
