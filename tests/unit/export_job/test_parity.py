"""The parity check itself."""

import math

import pytest

from services.export.job.checks.llama_runtime import Examination
from services.export.job.checks.parity import Comparison, require_agreement, require_perplexity
from services.export.job.checks.tokens import Reading, require_equal_tokens
from services.jobs.exits import ParityFailed


@pytest.mark.parametrize(("value", "reference"), [(20.0, 20.0), (20.2, 20.0), (19.8, 20.0), (1.0, 1.0)])
def test_agreeing_figures_pass(value: float, reference: float) -> None:
    require_agreement(Comparison("f16", value, "merged", reference, 0.0101))


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        (20.3, 20.0),
        (19.7, 20.0),
        (math.nan, 20.0),
        (20.0, math.nan),
        (math.inf, 20.0),
        (20.0, math.inf),
        (math.inf, math.inf),
        (math.nan, math.nan),
        (0.0, 0.0),
        (0.5, 0.5),
        (-20.0, -20.0),
    ],
)
def test_all_else_fails(value: float, reference: float) -> None:
    with pytest.raises(ParityFailed) as failure:
        require_agreement(Comparison("f16", value, "merged", reference, 0.01))
    assert failure.value.reason == "PARITY"
    assert failure.value.exit_code == 42


def test_the_message_names_the_figure_both_values_and_the_bound() -> None:
    with pytest.raises(ParityFailed) as failure:
        require_agreement(Comparison("q4_k_m", 54.7108, "f16", 51.2624, 0.05))
    message = failure.value.message
    for part in ("perplexity of q4_k_m is 54.7108", "of f16 51.2624", "6.73% apart", "5.00%"):
        assert part in message
    assert failure.value.metadata["subject"] == "q4_k_m"


def test_a_broken_base_is_named() -> None:
    with pytest.raises(ParityFailed, match="perplexity of base is nan"):
        require_perplexity("base", math.nan)


READING = Reading("a tale", (5, 6, 7), start=None, end=0)


def seen(**changes: object) -> Examination:
    fields = {"tokens": ((5, 6, 7),), "adds_bos": False, "adds_eos": False, "end": 0, **changes}
    return Examination(perplexity=2.0, predicted=2, vocabulary=8, **fields)  # type: ignore[arg-type]


def test_equal_readings_pass() -> None:
    require_equal_tokens(READING, seen())
    require_equal_tokens(Reading("a", (1,), start=9, end=None), seen(tokens=((1,),), adds_bos=True, end=3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": ((5, 1, 7),)}, r"from token 1 on \[1, 7\], not \[6, 7\]"),
        ({"tokens": ((5, 6),)}, r"from token 2 on \[\], not \[7\]"),
        ({"tokens": ((5, 6, 7, 8),)}, r"from token 3 on \[8\], not \[\]"),
        ({"adds_bos": True}, "adds begin True"),
        ({"adds_eos": True}, "end True"),
        ({"end": 2}, "ends a text at token 2, the model at 0"),
    ],
)
def test_another_reading_fails(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ParityFailed, match=message) as failure:
        require_equal_tokens(READING, seen(**changes))
    assert failure.value.reason == "PARITY"
