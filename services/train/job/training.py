"""The training itself: one set-up of TRL's trainer for a GPU and a CPU."""

import logging
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerState
from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined] # trl exports lazily
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from services.jobs.exits import Interrupted, OutOfMemory
from services.jobs.program import JobContext
from services.train.job.callbacks import Checkpointing, Following, Stopping
from services.train.job.checkpoints import Checkpoints
from services.train.job.config import TrainingConfig
from services.train.job.data import TrainingData
from services.train.job.model import Accelerator, Trainee, cast_to_adapters

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training did."""

    steps: int
    """Optimiser steps."""
    tokens: int
    """Tokens it went through, padding left out."""
    curve: list[dict[str, float]]
    """By step: `step`, `loss`, `learning_rate`, `grad_norm`."""


def train(
    trainee: Trainee,
    data: TrainingData,
    config: TrainingConfig,
    on: Accelerator,
    checkpoints: Checkpoints,
    context: JobContext,
) -> Trained:
    """Trains the adapters to the end, from the newest checkpoint where there is one.

    Args:
        trainee: the model; afterwards its adapters are trained, and it computes as it did before, outside autocast.
        data: what to train on.
        config: how.
        on: what to compute on.
        checkpoints: where to go on from, and where to leave new ones.
        context: the job.

    Raises:
        Interrupted: asked to stop; there is a checkpoint.
        NotFinite: the loss or the gradient is no finite number.
        OutOfMemory: it does not fit.
    """
    work = context.scratch / "trainer"
    resumed = context.scratch / "resumed"
    found = checkpoints.newest(resumed)
    if found:
        _log.info("goes on from step %d", found.step)
    state = TrainerState.load_from_json(str(resumed / "trainer_state.json")) if found else None
    if context.stop.requested:
        raise Interrupted(message="asked to stop before the first step")
    if state is not None and state.global_step >= state.max_steps:
        # The trainer would take one step more before it looks.
        trainee.model.load_adapter(str(resumed), "default", is_trainable=True)
    else:
        state = _run(trainee, data, config, on, checkpoints, context, work, resumed if state else None)
    # A trainer that was stopped returns like one that is done, so this comes before anything else.
    if state.global_step < state.max_steps or context.stop.requested:
        raise Interrupted(message=f"asked to stop after step {state.global_step} of {state.max_steps}")
    return Trained(state.global_step, state.num_input_tokens_seen, curve(state.log_history))


def arguments(config: TrainingConfig, on: Accelerator, checkpointing: bool, steps: int, work: Path) -> dict[str, Any]:
    """Gives the trainer's arguments.

    Args:
        config: how to train.
        on: what to compute on.
        checkpointing: whether the trainer is to turn gradient checkpointing on.
        steps: optimiser steps in all.
        work: a folder for checkpoints.
    """
    return {
        "output_dir": str(work),
        "max_steps": steps,
        "per_device_train_batch_size": config.batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": config.warmup(steps),
        "weight_decay": config.weight_decay,
        "optim": "adamw_8bit" if on.gpu else "adamw_torch",
        "seed": config.seed,
        "data_seed": config.seed,
        "use_cpu": not on.gpu,
        "bf16": on.dtype is torch.bfloat16,
        "gradient_checkpointing": checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if checkpointing else None,
        # The logits of a large vocabulary are the most memory there is. Where memory counts they are made in chunks,
        # for a little more time; unsloth has a kernel of its own for this.
        "loss_type": "chunked_nll" if checkpointing else "nll",
        # Sequences come packed.
        "packing": False,
        "max_length": None,
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "remove_unused_columns": False,
        "dataloader_pin_memory": on.gpu,
        # Each step is logged: a mean over several would differ after a resume in the middle of them. A loss that is
        # not finite must show, rather than be replaced by the mean of the others.
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "include_num_input_tokens_seen": "non_padding",
        "save_strategy": "steps",
        "save_steps": config.checkpoint_steps,
        "report_to": "none",
        "disable_tqdm": True,
    }


def steps_in_all(config: TrainingConfig, sequences: int) -> int:
    """Gives the optimiser steps of a training: of its epochs, or `max_steps` if that is less; at least 1.

    An epoch's last step may have fewer sequences than the others; none is left out.
    """
    batches = -(-sequences // config.batch_size)
    an_epoch = -(-batches // config.gradient_accumulation)
    # Of a part of an epoch, a step that it reaches into counts; 1.1 epochs of 10 steps are 11 for all that floats say.
    steps = max(math.ceil(round(config.epochs * an_epoch, 6)), 1)
    return min(steps, config.max_steps) if config.max_steps else steps


def curve(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """Takes the figures of each step out of the trainer's history; times and epochs stay out."""
    names = ("step", "loss", "learning_rate", "grad_norm")
    return [{name: entry[name] for name in names if name in entry} for entry in history if "loss" in entry]


@contextmanager
def memory_errors(config: TrainingConfig) -> Iterator[None]:
    """Turns each way of running out of memory into `OutOfMemory`."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(config, error) from error
    except RuntimeError as error:
        # A CPU's allocator has no class of its own.
        if "can't allocate memory" in str(error):
            raise _too_large(config, error) from error
        raise


def _run(
    trainee: Trainee,
    data: TrainingData,
    config: TrainingConfig,
    on: Accelerator,
    checkpoints: Checkpoints,
    context: JobContext,
    work: Path,
    resumed: Path | None,
) -> TrainerState:
    model, tokenizer = trainee.model, trainee.tokenizer
    steps = steps_in_all(config, len(data.sequences))
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments(config, on, trainee.checkpointing, steps, work)),
        train_dataset=data.sequences,
        processing_class=tokenizer,
        # Padding is left out of the loss by place, not by token: what pads is also what ends a text.
        data_collator=DataCollatorForLanguageModeling(pad_token_id=tokenizer.eos_token_id),
        callbacks=[Following(context), Stopping(context.stop), Checkpointing(checkpoints)],
    )
    trainer.remove_callback(PrinterCallback)
    autocast = not on.gpu and on.dtype is torch.bfloat16
    if autocast:
        cast_to_adapters(model, False)
    with memory_errors(config):
        trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))
    if autocast:
        cast_to_adapters(model, True)
    trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
    shutil.rmtree(work, ignore_errors=True)
    state: TrainerState = trainer.state
    return state


def _too_large(config: TrainingConfig, error: BaseException) -> OutOfMemory:
    return OutOfMemory(
        message=f"out of memory with batch_size {config.batch_size} and context_length {config.context_length:,}: "
        "halve one of them and double gradient_accumulation, lower lora_rank, or take a smaller model "
        f"({str(error).splitlines()[0]})"
    )
