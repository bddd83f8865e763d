"""What happens after each step: progress, a check of the loss, stopping, checkpoints in the store."""
# ruff: noqa: ARG002 (the signatures are those of transformers)

import math
import shutil
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from services.jobs.exits import NotFinite
from services.jobs.program import JobContext
from services.jobs.signals import StopFlag
from services.train.job.checkpoints import Checkpoints


class Following(TrainerCallback):
    """Reports each step, and ends a training whose loss or gradient is no finite number."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        self._started = 0.0
        self._from_step = 0
        self._from_tokens = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Starts the clock: speed is of this attempt."""
        self._started = time.monotonic()
        self._from_step = state.global_step
        self._from_tokens = state.num_input_tokens_seen

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Looks at a step's loss, before its checkpoint is written."""
        logs: dict[str, float] = kwargs["logs"]
        if "loss" not in logs:
            return
        loss, gradient = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
        if not math.isfinite(loss) or not math.isfinite(gradient):
            raise NotFinite(
                message=f"step {state.global_step}: the loss is {loss}, its gradient's norm {gradient}; "
                "take a lower learning_rate or more warmup_steps"
            )
        seconds = max(time.monotonic() - self._started, 1e-9)
        done = state.global_step - self._from_step
        self._context.report(
            "training",
            state.global_step,
            state.max_steps,
            "steps",
            remaining_seconds=(state.max_steps - state.global_step) * seconds / max(done, 1),
            loss=loss,
            learning_rate=float(logs["learning_rate"]),
            tokens_per_second=(state.num_input_tokens_seen - self._from_tokens) / seconds,
            epoch=float(state.epoch or 0.0),
        )


class Stopping(TrainerCallback):
    """Ends the training with a checkpoint once it is asked to stop."""

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Only between optimiser steps: half an accumulated gradient is in no checkpoint."""
        if self._stop.requested:
            control.should_save = True
            control.should_training_stop = True


class Checkpointing(TrainerCallback):
    """Moves each checkpoint into the store."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self._checkpoints = checkpoints

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """The trainer has written the folder."""
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        self._checkpoints.save(state.global_step, folder)
        shutil.rmtree(folder)
