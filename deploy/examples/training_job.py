"""A training as a Job to be made by hand: `python -m deploy.examples.training_job > deploy/examples/training-job.yaml`.

The same text is what `CreateTrainingJob` with `validate_only` returns for this request, where the chart is installed as
`bookmill` in the namespace `bookmill` with its default values; but for the owner, which only a cluster knows.
"""

import sys

from bookmill.v1.object_pb2 import ObjectReference
from bookmill.v1.train_pb2 import TrainingSpec
from services.jobs.kubernetes.launcher import render
from services.jobs.kubernetes.manifest import TRAINER, manifest
from services.jobs.kubernetes.needs import Needs
from services.jobs.kubernetes.settings import ClusterSettings
from services.train.training_jobs import TRAINING, complete

# Digests of objects that are in nobody's store: put those of your own dataset and base model here.
_DATASET = "d" * 64
_BASE_MODEL = "b" * 64

SPEC = complete(
    TrainingSpec(
        dataset=ObjectReference(key=f"datasets/{_DATASET}/manifest.json", sha256=_DATASET, size_bytes=412),
        base_model=ObjectReference(key=f"models/{_BASE_MODEL}/manifest.json", sha256=_BASE_MODEL, size_bytes=1604),
    )
)
"""What is trained."""

CLUSTER = ClusterSettings.model_validate(
    {
        "namespace": "bookmill",
        "image": "bookmill/train-gpu:0.1.0",
        "serviceAccountName": "bookmill-jobs",
        "accelerator": "nvidia",
        "resources": {"requests": {"cpu": "2", "memory": "16Gi"}, "limits": {"cpu": "8", "memory": "32Gi"}},
        "sharedMemory": "2Gi",
        "storeSecret": "bookmill-store",
        "storeSettings": {
            "BOOKMILL_STORE_ENDPOINT": "bookmill-store:9000",
            "BOOKMILL_STORE_BUCKET": "bookmill",
            "BOOKMILL_STORE_SECURE": "false",
            "BOOKMILL_STORE_REGION": "us-east-1",
        },
        "labels": {"app.kubernetes.io/name": "bookmill", "app.kubernetes.io/instance": "bookmill"},
    }
)
"""Where."""

NEEDS = Needs(disk_bytes=24 << 30)
"""Of a model of 8 billion parameters in 16 bits."""


def example() -> str:
    """Gives the manifest."""
    job = TRAINING.step.key(SPEC)
    return render(manifest(TRAINING.order(job, SPEC), CLUSTER, TRAINER, NEEDS))


if __name__ == "__main__":
    sys.stdout.write(example())
