"""Exports that end without a model, and attempts that end before it."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from services.jobs.exits import BadConfiguration, Interrupted, NotFinite, ParityFailed
from services.jobs.signals import StopFlag
from tests.integration.export_job.conftest import Attempts, Finished
from tests.support.export_inputs import Inputs, write_adapter, write_dataset


@pytest.mark.parametrize(
    ("bound", "subject", "before"),
    [("merged", "merged", "base"), ("f16", "f16", "merged"), ("quantized", "q4_k_m", "f16")],
)
def test_a_figure_out_of_bounds_fails_and_its_stage_is_not_done(
    bound: str, subject: str, before: str, finished: Finished, tmp_path: Path
) -> None:
    attempts = finished.attempts.after(before, tmp_path, job=f"{subject.encode().hex():b<64}")
    spec = type(finished.spec).FromString(finished.spec.SerializeToString())
    setattr(spec.bounds, bound, 1e-9)
    done = attempts.done()
    with pytest.raises(ParityFailed, match=f"perplexity of {subject} is .*, of .*: they lie") as failure:
        attempts.run(spec)
    assert failure.value.metadata["subject"] == subject
    assert attempts.done() == done


def test_an_adapter_with_a_weight_that_is_no_number_fails(inputs: Inputs, attempts: Attempts, tmp_path: Path) -> None:
    broken = Inputs(inputs.base, tmp_path / "adapter", inputs.dataset)
    write_adapter(inputs.base, broken.adapter)
    weights = load_file(broken.adapter / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, broken.adapter / "adapter_model.safetensors")
    with pytest.raises((ParityFailed, NotFinite), match="adapter is nan"):
        attempts.run(broken.spec(attempts.store))


def test_an_adapter_of_another_model_is_refused(inputs: Inputs, attempts: Attempts, tmp_path: Path) -> None:
    other = Inputs(inputs.base, tmp_path / "adapter", inputs.dataset)
    other.adapter.mkdir()
    (other.adapter / "adapter_config.json").write_bytes((inputs.adapter / "adapter_config.json").read_bytes())
    weights = load_file(inputs.adapter / "adapter_model.safetensors")
    wider = {name: torch.cat([tensor, tensor], dim=1) for name, tensor in weights.items()}
    save_file(wider, other.adapter / "adapter_model.safetensors")
    with pytest.raises(BadConfiguration) as failure:
        attempts.run(other.spec(attempts.store))
    assert failure.value.reason == "BAD_ADAPTER"


def test_a_quantised_base_is_refused(inputs: Inputs, attempts: Attempts, tmp_path: Path) -> None:
    quantised = Inputs(tmp_path / "base", inputs.adapter, inputs.dataset)
    quantised.base.mkdir()
    for path in inputs.base.iterdir():
        (quantised.base / path.name).write_bytes(path.read_bytes())
    config = json.loads((inputs.base / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes", "load_in_4bit": True}
    (quantised.base / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadConfiguration, match="quantised") as failure:
        attempts.run(quantised.spec(attempts.store))
    assert failure.value.reason == "BAD_MODEL"


@pytest.mark.parametrize(
    ("splits", "message"),
    [({"other": ["A tale."]}, "it holds ['other.parquet']"), ({"test": [""]}, "has 0 tokens")],
)
def test_a_dataset_without_text_is_refused(
    splits: dict[str, list[str]], message: str, inputs: Inputs, attempts: Attempts, tmp_path: Path
) -> None:
    write_dataset(tmp_path / "dataset", splits)
    with pytest.raises(BadConfiguration) as failure:
        attempts.run(Inputs(inputs.base, inputs.adapter, tmp_path / "dataset").spec(attempts.store))
    assert failure.value.reason == "NO_TEXT"
    assert message in failure.value.message


def test_a_stop_ends_the_stage_at_work_and_the_next_attempt_goes_on_there(finished: Finished, tmp_path: Path) -> None:
    attempts = finished.attempts.after("merged", tmp_path, job="c" * 64)
    stop = StopFlag()

    def on_progress(progress: Any) -> None:
        if progress.activity == "converting to f16":
            stop.request()

    with pytest.raises(Interrupted):
        attempts.run(finished.spec, "one", on_progress, stop)
    assert attempts.done() == {"text", "base", "merged"}
    activities: list[str] = []
    assert attempts.run(finished.spec, "two", lambda p: activities.append(p.activity)) == finished.result
    assert activities[0] == "fetching merged"


def test_a_stage_whose_file_is_gone_is_done_anew(finished: Finished, tmp_path: Path) -> None:
    attempts = finished.attempts.after("q8_0", tmp_path, job="d" * 64)
    file = finished.result.files[1].file
    attempts.store.delete(file.key)
    assert attempts.run(finished.spec) == finished.result
    assert attempts.store.stat(file.key) == file.size_bytes
