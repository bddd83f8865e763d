"""The stages that llama.cpp runs: the GGUF in 16 bits, then each quantised one."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.common.objects import Reference
from services.evaluation.texts import windows
from services.export.job.bench import AREA, Bench
from services.export.job.checks.llama_runtime import Examination, examine
from services.export.job.checks.parity import Comparison, require_agreement
from services.export.job.checks.tokens import Reading, require_equal_tokens
from services.export.job.config import Plan
from services.export.job.gguf import convert
from services.export.job.layout import read_frame
from services.export.job.quantizations import F16, quantization
from services.export.job.quantizing import quantize


def make_f16(plan: Plan, bench: Bench, text: dict[str, Any], merged: dict[str, Any]) -> dict[str, Any]:
    """Converts the merged model, and has llama.cpp load, read and predict.

    Returns:
        The record of the file.

    Raises:
        ParityFailed: its perplexity lies outside its bound, or its tokenizer gives other ids.
        BadConfiguration: as `convert` and `examine`.
    """
    folder = bench.merged(Reference.from_json(merged["folder"]))
    path = bench.path(F16)
    convert(
        folder,
        path,
        plan.model_name,
        bench.stop,
        lambda done, all: bench.report(f"converting to {F16}", done, all, "bytes"),
    )
    bench.drop("base", "adapter", "merged")
    seen = _examine(F16, path, text, [text["text"]], bench)
    require_equal_tokens(Reading(text["text"], text["text_tokens"], text["start"], text["end"]), seen)
    require_agreement(Comparison(F16, seen.perplexity, "merged", merged["merged"]["value"], plan.bounds.f16))
    return _stored(F16, path, seen, bench)


def make_quantized(
    name: str, plan: Plan, bench: Bench, text: dict[str, Any], sixteen: dict[str, Any]
) -> dict[str, Any]:
    """Quantises the GGUF in 16 bits, and has llama.cpp load it and predict.

    Returns:
        The record of the file.

    Raises:
        ParityFailed: its perplexity lies outside its bound.
        BadConfiguration: as `quantize` and `examine`.
    """
    source = bench.file(F16, Reference.from_json(sixteen["file"]))
    path = bench.path(name)
    quantize(source, path, quantization(name), lambda done, all: bench.report(f"quantising {name}", done, all, "bytes"))
    seen = _examine(name, path, text, [], bench)
    require_agreement(Comparison(name, seen.perplexity, F16, sixteen[F16]["value"], plan.bounds.quantized))
    record = _stored(name, path, seen, bench)
    bench.drop(name)
    return record


def _examine(name: str, path: Path, text: dict[str, Any], texts: Sequence[str], bench: Bench) -> Examination:
    bench.report(f"measuring {name}", 0, len(text["tokens"]), "tokens")
    cut = list(windows(text["tokens"], text["window"], text["start"]))
    return examine(path, cut, texts, threads=bench.threads, stop=bench.stop)


def _stored(name: str, path: Path, seen: Examination, bench: Bench) -> dict[str, Any]:
    frame = read_frame(path)
    bench.say(f"storing {name}")
    return {
        name: {"value": seen.perplexity, "tokens": seen.predicted},
        "file": bench.store.put_file(AREA, path, ".gguf").to_json(),
        "bits_per_weight": frame.bits_per_weight,
        "tensors": dict(Counter(tensor.kind.name.lower() for tensor in frame.tensors)),
    }
