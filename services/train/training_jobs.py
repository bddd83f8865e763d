"""What a training job is: its specification with every default filled in, and checked."""

from bookmill.v1.train_pb2 import Hyperparameters, TrainingResult, TrainingSpec
from services.common.errors import InvalidInput
from services.jobs.exits import BadConfiguration
from services.jobs.kinds import JobKind
from services.train.job.config import TrainingConfig
from services.train.step import TRAIN

TRAINING = JobKind(TRAIN, TrainingSpec, TrainingResult, "trainingJobs", "train", "services.train.job")
"""The kind of job."""

# The hyper-parameters of a QLoRA fine-tune on one GPU that has proved itself on novels; 0 stands for each of them.
# `lora_dropout` and `max_steps` are not here: there 0 means 0.
DEFAULTS: dict[str, float | str] = {
    "lora_rank": 16,
    "lora_alpha": 16,
    "learning_rate": 0.0002,
    "warmup_steps": 5,
    "weight_decay": 0.01,
    "epochs": 1.0,
    "context_length": 2048,
    "batch_size": 2,
    "gradient_accumulation": 4,
    "seed": 3407,
    "checkpoint_steps": 50,
    "precision": "auto",
    "evaluation_tokens": 20_000,
}
"""What fields that are left at 0 become, as the proto says."""


def complete(spec: TrainingSpec) -> TrainingSpec:
    """Gives a specification with its defaults filled in. Equal trainings are equal then, and have one hash.

    Raises:
        InvalidInput: `BAD_HYPERPARAMETER`, with the metadata `field`.
    """
    filled = TrainingSpec()
    filled.CopyFrom(spec)
    options: Hyperparameters = filled.hyperparameters
    for field, value in DEFAULTS.items():
        if not getattr(options, field):
            setattr(options, field, value)
    try:
        # The program's own check: what it would refuse is not begun.
        TrainingConfig.from_proto(options)
    except BadConfiguration as error:
        raise InvalidInput(error.reason, error.message, **error.metadata) from error
    return filled
