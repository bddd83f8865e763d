"""What the trainer is told, on a CPU and on a GPU that this machine lacks."""

import inspect
from pathlib import Path

import pytest
import torch
from trl import SFTConfig

from services.jobs.exits import OutOfMemory
from services.train.job.config import TrainingConfig
from services.train.job.model import Accelerator, linear_layers, lora_arguments
from services.train.job.training import arguments, curve, memory_errors, steps_in_all
from tests.support.training import hyperparameters

GPU = Accelerator(True, torch.bfloat16)
CPU = Accelerator(False, torch.bfloat16)
PLAIN_CPU = Accelerator(False, torch.float32)


def config(**changes: float | str) -> TrainingConfig:
    return TrainingConfig.from_proto(hyperparameters(**changes))


def told(on: Accelerator, checkpointing: bool = True) -> dict[str, object]:
    return arguments(config(), on, checkpointing, 10, Path("work"))


@pytest.mark.parametrize("on", [GPU, CPU, PLAIN_CPU])
def test_the_trainer_knows_every_argument(on: Accelerator) -> None:
    assert set(told(on)) <= set(inspect.signature(SFTConfig).parameters)


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (GPU, {"optim": "adamw_8bit", "use_cpu": False, "bf16": True}),
        (CPU, {"optim": "adamw_torch", "use_cpu": True, "bf16": True}),
        (PLAIN_CPU, {"optim": "adamw_torch", "use_cpu": True, "bf16": False}),
    ],
)
def test_an_accelerator_has_its_own_arguments(on: Accelerator, expected: dict[str, object]) -> None:
    assert told(on).items() >= expected.items()


def test_memory_is_saved_in_both_ways_or_none() -> None:
    for checkpointing, loss in (True, "chunked_nll"), (False, "nll"):
        saving = told(CPU, checkpointing)
        assert (saving["gradient_checkpointing"], saving["loss_type"]) == (checkpointing, loss)


def test_all_else_is_the_same_everywhere() -> None:
    own = {"optim", "use_cpu", "bf16", "dataloader_pin_memory"}
    gpu, cpu = told(GPU), told(CPU)
    assert {name for name in gpu if gpu[name] != cpu[name]} <= own


def test_a_resume_can_be_exact() -> None:
    exact = {"logging_steps": 1, "logging_nan_inf_filter": False, "include_num_input_tokens_seen": "non_padding"}
    assert told(CPU).items() >= exact.items()
    assert told(CPU)["report_to"] == "none"


@pytest.mark.parametrize(
    ("sequences", "changes", "expected"),
    [
        (19, {"epochs": 1.0}, 5),  # 10 batches of 2, the last with one; 5 steps of 2 batches
        (19, {"epochs": 2.0}, 10),
        (19, {"epochs": 0.5}, 3),
        (20, {"epochs": 1.1}, 6),
        (40, {"epochs": 1.1}, 11),
        (1, {"epochs": 0.01}, 1),
        (19, {"epochs": 2.0, "max_steps": 7}, 7),
        (19, {"epochs": 1.0, "max_steps": 7}, 5),
    ],
)
def test_steps_are_those_of_the_epochs(sequences: int, changes: dict[str, float], expected: int) -> None:
    assert steps_in_all(config(**changes), sequences) == expected


def test_the_curve_holds_steps_alone() -> None:
    history = [
        {"step": 1, "loss": 2.5, "learning_rate": 0.1, "grad_norm": 1.0, "epoch": 0.5, "entropy": 3.0},
        {"step": 1, "train_runtime": 12.0, "train_loss": 2.5},
    ]
    assert curve(history) == [{"step": 1, "loss": 2.5, "learning_rate": 0.1, "grad_norm": 1.0}]


def test_a_cpu_without_memory_is_said_to_be() -> None:
    with pytest.raises(OutOfMemory, match=r"batch_size 2 .* gradient_accumulation"), memory_errors(config()):
        torch.empty(1 << 50, dtype=torch.uint8)


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shape"), memory_errors(config()):
        torch.empty(3).view(2)


class _Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q_proj = torch.nn.Linear(2, 2)
        self.mlp = torch.nn.ModuleDict({"up_proj": torch.nn.Linear(2, 2), "down_proj": torch.nn.Linear(2, 2)})
        self.norm = torch.nn.LayerNorm(2)
        self.lm_head = torch.nn.Linear(2, 2)

    def get_output_embeddings(self) -> torch.nn.Module:
        return self.lm_head


def test_all_linear_layers_but_the_head_are_adapted() -> None:
    layers = linear_layers(_Model())
    assert layers == ["down_proj", "q_proj", "up_proj"]
    assert lora_arguments(config(), layers)["target_modules"] == layers
