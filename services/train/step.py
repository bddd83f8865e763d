"""The step that a training is, known to the service that starts it and to the program that does it."""

from services.common.steps import Step

TRAIN = Step("train_model", 1)
"""Of a `TrainingSpec` with all defaults filled in."""
