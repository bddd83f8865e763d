"""Settings of the train service, `BOOKMILL_TRAIN_*`."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.jobs.settings import LaunchSettings


class TrainSettings(LaunchSettings):
    """How trainings run, and on what."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_TRAIN_", extra="ignore")

    accelerator: Literal["cpu", "nvidia"] = "cpu"
    """What jobs run on, for estimates."""
    operations_per_second: float | None = Field(None, gt=0)
    """Floating-point operations that a training does in a second, counted as 6 a parameter and token: measure one and
    divide. Without it no time is estimated."""
