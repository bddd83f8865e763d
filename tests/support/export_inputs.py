"""What an export starts from: a base model, an adapter and a dataset, in a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from bookmill.v1 import export_pb2
from services.common.storage import Store
from tests.support.tiny_model import TALE, build_tiny_model

BOUNDS = export_pb2.ParityBounds(merged=0.01, f16=0.01, quantized=0.5)
"""Wide where the tiny model's random weights are quantised: nothing in them is redundant."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Folders to put in a store."""

    base: Path
    adapter: Path
    dataset: Path

    def spec(self, store: Store, quantizations: Sequence[str] = ("q4_k_m",)) -> export_pb2.ExportSpec:
        """Puts the folders in a store and gives a specification with all its defaults filled in."""
        return export_pb2.ExportSpec(
            base_model=store.put_folder("models", self.base).to_proto(),
            adapter=store.put_folder("adapters", self.adapter).to_proto(),
            dataset=store.put_folder("datasets", self.dataset).to_proto(),
            quantizations=quantizations,
            model_name="tale",
            context_length=64,
            parity_tokens=200,
            bounds=BOUNDS,
            samples=export_pb2.SampleOptions(
                prompts=["The miller", "Under the floor"], tokens=12, temperature=0.8, top_p=0.95, seed=3407
            ),
        )


def tiny_inputs(folder: Path) -> Inputs:
    """Writes the inputs of an export of the tiny model."""
    build_tiny_model(folder / "base")
    write_adapter(folder / "base", folder / "adapter")
    write_dataset(folder / "dataset", {"test": [TALE], "train": [TALE.upper()]})
    return Inputs(folder / "base", folder / "adapter", folder / "dataset")


def write_adapter(base: Path, target: Path, scale: float = 0.05, seed: int = 11) -> None:
    """Writes an adapter of all linear layers that changes the model, as a training does, by `scale`."""
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(scale * torch.randn(parameter.shape))
    adapted.save_pretrained(target)


def write_dataset(target: Path, splits: dict[str, list[str]]) -> None:
    """Writes a dataset of one book a text and one row a book."""
    target.mkdir(parents=True)
    for name, texts in splits.items():
        books = [f"{name}-{number}" for number in range(len(texts))]
        pq.write_table(pa.table({"text": texts, "book_id": books}), target / f"{name}.parquet")
