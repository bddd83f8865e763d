"""What the trainer does with a specification, before anything heavy is loaded."""

import os
from pathlib import Path

from bookmill.v1 import train_pb2
from services.common.objects import Reference
from services.common.storage import Store
from services.jobs.exits import BadConfiguration
from services.jobs.program import JobContext
from services.train.job.config import TRAIN_SPLIT, TrainingConfig


def train_model(spec: train_pb2.TrainingSpec, context: JobContext) -> train_pb2.TrainingResult:
    """Trains an adapter and measures it. Started again, it goes on from its newest checkpoint.

    Raises:
        JobError: as `services.jobs.exits` lists them.
    """
    config = TrainingConfig.from_proto(spec.hyperparameters)
    dataset = Reference.from_proto(spec.dataset, "dataset")
    base = Reference.from_proto(spec.base_model, "base_model")
    _check_files(context.store, dataset, base)
    _prepare_environment(context.scratch)
    # Imported only now: torch takes seconds, which a wrong value need not wait for, and the settings above are read
    # while its libraries are imported.
    from services.train.job.running import run

    return run(spec, config, context, _fetch(context, dataset, "data"), _fetch(context, base, "model"))


def _check_files(store: Store, dataset: Reference, base: Reference) -> None:
    """Looks at the lists of files alone."""
    splits = {file.path for file in store.folder(dataset)}
    if TRAIN_SPLIT not in splits:
        raise BadConfiguration(
            "BAD_DATASET",
            f"the dataset has no {TRAIN_SPLIT}; it holds {', '.join(sorted(splits))}: take one of BuildDataset",
            field="dataset",
        )
    files = {file.path for file in store.folder(base)}
    if "config.json" not in files or not any(path.endswith(".safetensors") for path in files):
        raise BadConfiguration(
            "BAD_MODEL",
            f"the base model lacks config.json or *.safetensors; it holds {', '.join(sorted(files))}: take one of "
            "FetchModel",
            field="base_model",
        )


def _prepare_environment(scratch: Path) -> None:
    """Keeps the libraries off the network and inside the scratch folder, and threads from spinning."""
    os.environ.update(
        HF_HUB_OFFLINE="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HOME=str(scratch / "huggingface"),
        UNSLOTH_COMPILE_LOCATION=str(scratch / "unsloth"),
        TRITON_CACHE_DIR=str(scratch / "triton"),
        # cuBLAS is only then the same twice; it must stand before CUDA starts.
        CUBLAS_WORKSPACE_CONFIG=":4096:8",
        # A thread that waits for the others sleeps instead of spinning. Where other processes want the same cores,
        # steps were three to five times as fast (SmolLM2-135M, 2 threads on 2 busy cores).
        OMP_WAIT_POLICY="passive",
        GOMP_SPINCOUNT="0",
    )


def _fetch(context: JobContext, reference: Reference, name: str) -> Path:
    context.report(f"fetching the {name}", 0, 0, "bytes")
    folder = context.scratch / name
    context.store.download_folder(reference, folder)
    return folder
