import math
from typing import Any

import pytest

from bookmill.v1.export_pb2 import ExportSpec, ParityBounds, SampleOptions
from services.common.errors import InvalidInput
from services.export.exporting_jobs import DEFAULT_PROMPTS, complete
from services.export.settings import ExportSettings

SETTINGS = ExportSettings(bound_merged=0.01, bound_f16=0.02, bound_quantized=0.3)


def test_defaults_are_filled_in() -> None:
    filled = complete(ExportSpec(), SETTINGS)
    expected = ExportSpec(
        quantizations=["q4_k_m"],
        model_name="model",
        context_length=2048,
        parity_tokens=2048,
        bounds=ParityBounds(merged=0.01, f16=0.02, quantized=0.3),
        samples=SampleOptions(prompts=DEFAULT_PROMPTS, tokens=120, temperature=0.8, top_p=0.95, seed=3407),
    )
    assert filled == expected
    assert complete(filled, SETTINGS) == filled


def test_what_is_said_stays_and_names_stand_once() -> None:
    given = ExportSpec(
        quantizations=["q8_0", "q4_k_m", "q8_0"],
        model_name="ghosts-1.0",
        bounds=ParityBounds(f16=0.5),
        samples=SampleOptions(prompts=["Once"], tokens=5),
    )
    filled = complete(given, SETTINGS)
    assert list(filled.quantizations) == ["q8_0", "q4_k_m"]
    assert filled.bounds == ParityBounds(merged=0.01, f16=0.5, quantized=0.3)
    assert list(filled.samples.prompts) == ["Once"]
    assert list(given.quantizations) == ["q8_0", "q4_k_m", "q8_0"], "the request itself is left as it was"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (ExportSpec(model_name="../x"), "model_name"),
        (ExportSpec(model_name=".hidden"), "model_name"),
        (ExportSpec(model_name="a" * 65), "model_name"),
        (ExportSpec(context_length=-1), "context_length"),
        (ExportSpec(parity_tokens=1), "parity_tokens"),
        (ExportSpec(bounds=ParityBounds(f16=-0.1)), "bounds.f16"),
        (ExportSpec(bounds=ParityBounds(merged=math.nan)), "bounds.merged"),
        (ExportSpec(samples=SampleOptions(temperature=-1)), "samples.temperature"),
        (ExportSpec(samples=SampleOptions(top_p=1.5)), "samples.top_p"),
        (ExportSpec(samples=SampleOptions(tokens=-1)), "samples.tokens"),
        (ExportSpec(samples=SampleOptions(seed=-1)), "samples.seed"),
        (ExportSpec(samples=SampleOptions(prompts=[" \n"])), "samples.prompts"),
        (ExportSpec(samples=SampleOptions(prompts=["x" * 30_000])), "samples.prompts"),
        (ExportSpec(samples=SampleOptions(prompts=["x"] * 50)), "samples.prompts"),
    ],
)
def test_a_bad_option_is_refused_by_name(spec: ExportSpec, field: str) -> None:
    with pytest.raises(InvalidInput, match="BAD_OPTION") as caught:
        complete(spec, SETTINGS)
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize("name", ["q4", "", "Q4_K_M"])
def test_an_unknown_quantisation_names_the_choices(name: str) -> None:
    with pytest.raises(InvalidInput, match="BAD_QUANTISATION") as caught:
        complete(ExportSpec(quantizations=[name]), SETTINGS)
    assert "q4_k_m" in caught.value.metadata["choices"]


def test_settings_out_of_range_are_named(monkeypatch: Any) -> None:
    monkeypatch.setenv("BOOKMILL_EXPORT_BOUND_F16", "0")
    with pytest.raises(ValueError, match="bound_f16"):
        ExportSettings()
