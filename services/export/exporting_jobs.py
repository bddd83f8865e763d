"""What an export job is: its specification with every default filled in, and checked."""

import math
import re

from bookmill.v1.export_pb2 import ExportResult, ExportSpec
from services.common.errors import InvalidInput
from services.export.job.quantizations import NAMES
from services.export.settings import ExportSettings
from services.export.step import EXPORT
from services.jobs.kinds import JobKind

EXPORTING = JobKind(EXPORT, ExportSpec, ExportResult, "exportJobs", "export", "services.export.job")
"""The kind of job."""

DEFAULT_QUANTIZATION = "q4_k_m"
DEFAULT_PROMPTS = ("It was a dark and stormy night", "The old house at the end of the lane")
"""Beginnings to complete where none are given: what base models know and books of all kinds go on from."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # a file-name stem that is no path and no hidden file
# Prompts and samples travel in the job's message, of 64 KiB at the most: each prompt twice, each sample twice, a token
# being some 5 bytes of text.
_MAX_SAMPLE_BYTES = 40_000
_TOKEN_BYTES = 5

# (field, least, greatest), of messages with defaults filled in.
_SPEC_RANGES = (("context_length", 16, 1_048_576), ("parity_tokens", 2, 1_000_000))
_SAMPLE_RANGES = (("tokens", 1, 2000), ("temperature", 0, 5), ("top_p", 1e-6, 1), ("seed", 1, 2**32 - 1))
_BOUND_RANGES = (("merged", 1e-9, 10), ("f16", 1e-9, 10), ("quantized", 1e-9, 10))


def complete(spec: ExportSpec, settings: ExportSettings) -> ExportSpec:
    """Gives a specification with its defaults filled in. Equal exports are equal then, and have one hash.

    Args:
        spec: as it was sent.
        settings: hold the bounds of the parity check where the specification leaves them at 0.

    Raises:
        InvalidInput: `BAD_QUANTISATION`, `BAD_OPTION`, with the metadata `field` and `choices`.
    """
    filled = ExportSpec()
    filled.CopyFrom(spec)
    names = list(dict.fromkeys(spec.quantizations)) or [DEFAULT_QUANTIZATION]
    del filled.quantizations[:]
    filled.quantizations.extend(names)
    _default(filled, model_name="model", context_length=2048, parity_tokens=2048)
    _default(filled.bounds, merged=settings.bound_merged, f16=settings.bound_f16, quantized=settings.bound_quantized)
    _default(filled.samples, tokens=120, temperature=0.8, top_p=0.95, seed=3407)
    if not filled.samples.prompts:
        filled.samples.prompts.extend(DEFAULT_PROMPTS)
    _check(filled)
    return filled


def _default(message: object, **values: float | str) -> None:
    for field, value in values.items():
        if not getattr(message, field):
            setattr(message, field, value)


def _check(spec: ExportSpec) -> None:
    for name in spec.quantizations:
        if name not in NAMES:
            choices = ", ".join(NAMES)
            raise InvalidInput(
                "BAD_QUANTISATION",
                f"no quantisation {name!r}; there are {choices}",
                field="quantizations",
                choices=choices,
            )
    if not _NAME.fullmatch(spec.model_name):
        _refuse("model_name", spec.model_name, "1 to 64 letters, digits, '.', '_' and '-', the first no '.'")
    for message, prefix, ranges in (
        (spec, "", _SPEC_RANGES),
        (spec.bounds, "bounds.", _BOUND_RANGES),
        (spec.samples, "samples.", _SAMPLE_RANGES),
    ):
        for field, low, high in ranges:
            value = getattr(message, field)
            if not math.isfinite(value) or not low <= value <= high:
                _refuse(f"{prefix}{field}", value, f"{low:,} to {high:,}")
    size = sum(2 * len(prompt.encode()) + 2 * _TOKEN_BYTES * spec.samples.tokens for prompt in spec.samples.prompts)
    if size > _MAX_SAMPLE_BYTES:
        count = len(spec.samples.prompts)
        _refuse("samples.prompts", f"{count} beginnings", "fewer or shorter beginnings, or fewer samples.tokens")
    for prompt in spec.samples.prompts:
        if not prompt.strip():
            _refuse("samples.prompts", prompt[:80], "text that is not blank")


def _refuse(field: str, value: object, choices: str) -> None:
    raise InvalidInput("BAD_OPTION", f"{field} is {value!r}; it can be {choices}", field=field, choices=choices)
