"""What an export is asked to do, checked before anything is loaded."""

import math
import re
from dataclasses import dataclass
from typing import Self

from bookmill.v1 import export_pb2
from services.common.errors import InvalidInput
from services.common.objects import Reference
from services.evaluation.sampling import Sampling
from services.export.job.quantizations import F16, NAMES
from services.jobs.exits import BadConfiguration

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # a file-name stem that is no path and no hidden file


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far perplexities may lie apart, each as `|a/b - 1|` at the most."""

    merged: float
    """Merged model against adapter on the 16-bit base."""
    f16: float
    """GGUF f16 against merged."""
    quantized: float
    """A quantised GGUF against GGUF f16."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An export."""

    base_model: Reference
    adapter: Reference
    dataset: Reference
    quantizations: tuple[str, ...]
    """Names that were asked for, in that order, each once."""
    model_name: str
    """Stem of file names, and the model's name in its files."""
    context_length: int
    """Tokens that the model was trained with at a time."""
    parity_tokens: int
    """Tokens of held-out text at the most."""
    bounds: Bounds
    prompts: tuple[str, ...]
    """Beginnings to complete."""
    sampling: Sampling
    """How they are completed."""

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files that are made, `f16` first: the others are made from it."""
        return (F16, *(name for name in self.quantizations if name != F16))

    def file_name(self, quantization: str) -> str:
        """Gives a file's name for a person."""
        return f"{self.model_name}.{quantization}.gguf"

    @classmethod
    def from_spec(cls, spec: export_pb2.ExportSpec) -> Self:
        """Checks a specification with all its defaults filled in.

        Raises:
            BadConfiguration: `BAD_QUANTISATION`, `BAD_OPTION` with the metadata `field`, or `BAD_REFERENCE`.
        """
        names = tuple(dict.fromkeys(spec.quantizations))
        for name in names or ("",):
            if name not in NAMES:
                choices = ", ".join(NAMES)
                raise BadConfiguration(
                    "BAD_QUANTISATION", f"no quantisation {name!r}; there are {choices}", choices=choices
                )
        _require("model_name", spec.model_name, _NAME.fullmatch(spec.model_name), "letters, digits, '.', '_', '-'")
        _require("context_length", spec.context_length, spec.context_length >= 8, "8 tokens or more")
        _require("parity_tokens", spec.parity_tokens, spec.parity_tokens >= 2, "2 tokens or more")
        for field in ("merged", "f16", "quantized"):
            bound = getattr(spec.bounds, field)
            _require(f"bounds.{field}", bound, math.isfinite(bound) and bound > 0, "a number above 0")
        _require("samples.prompts", list(spec.samples.prompts), all(spec.samples.prompts), "no empty beginning")
        try:
            return cls(
                base_model=Reference.from_proto(spec.base_model, "base_model"),
                adapter=Reference.from_proto(spec.adapter, "adapter"),
                dataset=Reference.from_proto(spec.dataset, "dataset"),
                quantizations=names,
                model_name=spec.model_name,
                context_length=spec.context_length,
                parity_tokens=spec.parity_tokens,
                bounds=Bounds(spec.bounds.merged, spec.bounds.f16, spec.bounds.quantized),
                prompts=tuple(spec.samples.prompts),
                sampling=Sampling(
                    tokens=spec.samples.tokens,
                    temperature=spec.samples.temperature,
                    top_p=spec.samples.top_p,
                    seed=spec.samples.seed,
                ),
            )
        except InvalidInput as error:
            raise BadConfiguration(error.reason, error.message, **error.metadata) from error
        except ValueError as error:
            raise BadConfiguration("BAD_OPTION", str(error), field="samples") from error


def _require(field: str, value: object, holds: object, wanted: str) -> None:
    if not holds:
        raise BadConfiguration("BAD_OPTION", f"{field} {value!r} must be {wanted}", field=field)
