"""The stages that transformers runs: base and adapter as they are, then the two merged."""

from typing import Any

from transformers import AutoTokenizer

from services.evaluation.perplexity import Perplexity
from services.export.job.bench import AREA, Bench
from services.export.job.checks.parity import Comparison, require_agreement, require_perplexity
from services.export.job.config import Plan
from services.export.job.measuring import complete, load_to_measure, measure
from services.export.job.merging import merge, with_adapter


def measure_base(plan: Plan, bench: Bench, text: dict[str, Any]) -> dict[str, Any]:
    """Measures the base model, and the adapter on it, which is what was trained.

    Returns:
        The record: perplexities of `base` and `adapter`, and the base model's samples.

    Raises:
        ParityFailed: one of them is broken.
        BadConfiguration: `BAD_MODEL`, `BAD_ADAPTER`.
    """
    bench.say("loading base")
    model = load_to_measure(bench.base)
    tokenizer = AutoTokenizer.from_pretrained(bench.base)
    base = measure("base", model, text, bench)
    samples = complete("base", model, tokenizer, plan, bench)
    adapter = measure("adapter", with_adapter(model, bench.adapter), text, bench)
    return {"base": figure("base", base), "adapter": figure("adapter", adapter), "samples": samples}


def make_merged(plan: Plan, bench: Bench, text: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Merges, writes the folder, loads it again and measures that.

    Returns:
        The record: the folder, its perplexity, its samples, and the length of the windows.

    Raises:
        ParityFailed: it lies outside its bound.
        BadConfiguration, NotFinite: as `merge`.
    """
    bench.say("merging")
    merge(bench.base, bench.adapter, bench.path("merged"))
    bench.drop("base", "adapter")
    model = load_to_measure(bench.path("merged"))
    found = measure("merged", model, text, bench)
    adapter = measured["adapter"]["value"]
    require_agreement(Comparison("merged", found.value, "adapter", adapter, plan.bounds.merged))
    samples = complete("merged", model, AutoTokenizer.from_pretrained(bench.path("merged")), plan, bench)
    bench.say("storing merged")
    folder = bench.store.put_folder(AREA, bench.path("merged"))
    return {"merged": figure("merged", found), "samples": samples, "folder": folder.to_json()}


def figure(subject: str, found: Perplexity) -> dict[str, Any]:
    """Gives a perplexity as JSON.

    Raises:
        ParityFailed: it is none; JSON could not say it either.
    """
    require_perplexity(subject, found.value)
    return {"value": found.value, "tokens": found.tokens}
