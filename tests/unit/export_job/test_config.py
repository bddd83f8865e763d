"""What an export may ask for."""

import pytest
from google.protobuf.json_format import ParseDict

from bookmill.v1 import export_pb2
from services.export.job.config import Plan
from services.jobs.exits import BadConfiguration

REFERENCE = {"key": f"models/{'a' * 64}/manifest.json", "sha256": "a" * 64, "size_bytes": 10}


def spec(**changes: object) -> export_pb2.ExportSpec:
    fields = {
        "base_model": REFERENCE,
        "adapter": REFERENCE,
        "dataset": REFERENCE,
        "quantizations": ["q4_k_m", "q8_0"],
        "model_name": "tale",
        "context_length": 2048,
        "parity_tokens": 2048,
        "bounds": {"merged": 0.01, "f16": 0.01, "quantized": 0.1},
        "samples": {"prompts": ["It was"], "tokens": 10, "temperature": 0.8, "top_p": 0.95, "seed": 1},
        **changes,
    }
    return ParseDict(fields, export_pb2.ExportSpec())


def test_a_complete_specification_is_read() -> None:
    plan = Plan.from_spec(spec())
    assert plan.files == ("f16", "q4_k_m", "q8_0")
    assert plan.file_name("q4_k_m") == "tale.q4_k_m.gguf"
    assert plan.prompts == ("It was",)


def test_f16_is_made_once_though_asked_for() -> None:
    assert Plan.from_spec(spec(quantizations=["q8_0", "f16", "q8_0"])).files == ("f16", "q8_0")


@pytest.mark.parametrize(
    ("changes", "reason", "message"),
    [
        ({"quantizations": ["q4"]}, "BAD_QUANTISATION", "'q4'; there are f16, "),
        ({"quantizations": []}, "BAD_QUANTISATION", "there are f16, "),
        ({"model_name": "../model"}, "BAD_OPTION", "model_name '../model'"),
        ({"model_name": ""}, "BAD_OPTION", "model_name ''"),
        ({"model_name": ".hidden"}, "BAD_OPTION", "model_name"),
        ({"context_length": 0}, "BAD_OPTION", "context_length 0"),
        ({"parity_tokens": 1}, "BAD_OPTION", "parity_tokens 1"),
        ({"bounds": {"merged": 0.01, "f16": 0.01}}, "BAD_OPTION", "bounds.quantized 0.0"),
        ({"bounds": {"merged": "NaN", "f16": 0.01, "quantized": 0.1}}, "BAD_OPTION", "bounds.merged nan"),
        ({"samples": {"prompts": [""], "tokens": 5, "top_p": 1}}, "BAD_OPTION", "prompts"),
        ({"samples": {"prompts": ["a"], "tokens": 0, "top_p": 1}}, "BAD_OPTION", "tokens=0"),
        ({"adapter": {"key": "adapters/x"}}, "BAD_REFERENCE", "adapter"),
    ],
)
def test_all_else_is_refused(changes: dict[str, object], reason: str, message: str) -> None:
    with pytest.raises(BadConfiguration) as failure:
        Plan.from_spec(spec(**changes))
    assert failure.value.reason == reason
    assert message in failure.value.message
    assert failure.value.exit_code == 42
