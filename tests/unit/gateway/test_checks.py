import math

import pytest

from bookmill.v1 import export_pb2, object_pb2, run_pb2
from services.gateway.report.checks import failed_checks

GOOD = {"base": 20.0, "adapter": 18.0, "merged": 18.1, "f16": 18.1, "q4_k_m": 18.9}


def failed(
    values: dict[str, float], state: object_pb2.State.ValueType = object_pb2.STATE_SUCCEEDED, with_export: bool = True
) -> list[str]:
    job = export_pb2.ExportJob(
        state=object_pb2.STATE_SUCCEEDED,
        spec=export_pb2.ExportSpec(
            quantizations=["q4_k_m"], bounds=export_pb2.ParityBounds(merged=0.01, f16=0.01, quantized=0.05)
        ),
        result=export_pb2.ExportResult(
            perplexities=[export_pb2.Perplexity(subject=s, value=v, tokens=9) for s, v in values.items()]
        ),
    )
    return failed_checks(run_pb2.Run(state=state), job if with_export else None)


def test_figures_within_their_bounds_are_verified() -> None:
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"merged": 18.3}, "merged is 0.0167 from adapter, more than 0.01"),
        ({"f16": 17.5}, "f16 is 0.0331 from merged"),
        ({"q4_k_m": 30.0}, "q4_k_m is 0.6575 from f16"),
        ({"q4_k_m": math.nan}, "q4_k_m is inf from f16"),
        ({"adapter": 0.0}, "merged is inf from adapter"),
    ],
)
def test_a_figure_out_of_its_bound_is_named(change: dict[str, float], says: str) -> None:
    assert failed({**GOOD, **change})[0].startswith(says)


def test_what_was_not_measured_is_not_verified() -> None:
    assert failed({k: v for k, v in GOOD.items() if k != "q4_k_m"}) == ["the perplexity of q4_k_m was not measured"]
    assert failed(GOOD, with_export=False) == ["there is no finished export"]
    assert failed(GOOD, object_pb2.STATE_FAILED) == ["the run is failed"]
