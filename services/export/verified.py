"""Finds an export by its name and makes sure that it was verified: nothing else is ever published."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError

from bookmill.v1 import export_pb2
from services.common.errors import BookmillError, Refused
from services.common.objects import Reference
from services.common.steps import recorded
from services.common.storage import Store
from services.export.step import EXPORT

_NAME = re.compile(r"exportJobs/export-([0-9a-f]{20})")
_RECORD = re.compile(r"[0-9a-f]{64}")
_REPORT_LIMIT = 16 << 20

_CHAIN = (("merged", "adapter", "merged"), ("f16", "merged", "f16"))
"""Subject, what it must agree with, and the name of the bound; quantisations follow, against `f16`."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One figure of the parity check and how it compares."""

    subject: str
    value: float
    tokens: int
    against: str
    """The subject that it must agree with; empty for the two that start the chain."""
    bound: float
    apart: float
    """`|value / other - 1|`."""

    @property
    def holds(self) -> bool:
        """Whether it is a perplexity and within its bound."""
        return math.isfinite(self.value) and self.value >= 1 and self.tokens > 0 and self.apart <= self.bound


@dataclass(frozen=True, slots=True)
class Export:
    """A finished export whose parity held."""

    name: str
    spec: export_pb2.ExportSpec
    result: export_pb2.ExportResult
    agreements: tuple[Agreement, ...]

    @property
    def files(self) -> tuple[export_pb2.ModelFile, ...]:
        """The files that were asked for, in that order; `f16` is otherwise made for the check alone."""
        by_name = {file.quantization: file for file in self.result.files}
        return tuple(by_name[name] for name in self.spec.quantizations)

    def digests(self) -> dict[str, str]:
        """SHA-256 of what it was made from and what it made, by name, from the data to the model."""
        named = {
            "dataset": self.spec.dataset,
            "base model": self.spec.base_model,
            "adapter": self.spec.adapter,
            "merged model": self.result.merged,
            "report of the export": self.result.report,
        }
        return {name: reference.sha256 for name, reference in named.items()}


def find_verified(store: Store, name: str) -> Export:
    """Looks up the record of an export and checks its figures anew.

    Args:
        store: where records are.
        name: `exportJobs/<id>`.

    Raises:
        Refused: `NOT_VERIFIED`: there is no record, an object of it is gone or changed, or a figure is out of bounds.
    """
    hashed, spec = _record(store, name)
    result = recorded(store, EXPORT, hashed, export_pb2.ExportResult)
    if result is None:
        raise _refused(name, "an object of its result is gone from the store; export again")
    try:
        report = json.loads(store.read(Reference.from_proto(result.report), _REPORT_LIMIT))
    except (BookmillError, ValueError) as error:
        raise _refused(name, f"its report cannot be read: {error}") from error
    made = {file.quantization for file in result.files}
    missing = [q for q in (*spec.quantizations, "f16") if q not in made]
    if missing or not spec.quantizations:
        raise _refused(name, f"it lacks the files {', '.join(missing) or 'of any quantisation'}")
    agreements = tuple(_agreements(name, spec, result))
    for agreement in agreements:
        if not agreement.holds:
            raise _refused(name, f"parity does not hold: {_described(agreement)}")
    _check_report(name, report, agreements)
    return Export(name, spec, result, agreements)


def _record(store: Store, name: str) -> tuple[str, export_pb2.ExportSpec]:
    found = _NAME.fullmatch(name)
    if not found:
        raise _refused(name, "it is no name of an export, which reads exportJobs/export- and 20 digits")
    prefix = EXPORT.record_key(found[1]).removesuffix(".json")
    for key in store.list(prefix):
        hashed = key.removeprefix(prefix[: -len(found[1])]).removesuffix(".json")
        value = store.get_record(key) if _RECORD.fullmatch(hashed) else None
        if value is None:
            continue
        try:
            return hashed, ParseDict(value["request"], export_pb2.ExportSpec())
        except (ParseError, KeyError, TypeError) as error:
            raise _refused(name, "its record cannot be read; delete it and export again") from error
    raise _refused(name, "no export of this name has succeeded")


def _agreements(name: str, spec: export_pb2.ExportSpec, result: export_pb2.ExportResult) -> Iterator[Agreement]:
    figures = {p.subject: p for p in result.perplexities}
    chain = [("base", "", ""), ("adapter", "", ""), *_CHAIN]
    chain += [(q, "f16", "quantized") for q in spec.quantizations if q != "f16"]
    for subject, against, bound in chain:
        if subject not in figures:
            raise _refused(name, f"the perplexity of {subject} was not measured")
        figure = figures[subject]
        other = figures[against].value if against else figure.value
        apart = abs(figure.value / other - 1) if other > 0 else math.inf
        yield Agreement(
            subject, figure.value, figure.tokens, against, getattr(spec.bounds, bound) if bound else 0.0, apart
        )


def _described(agreement: Agreement) -> str:
    figure = f"perplexity of {agreement.subject} is {agreement.value:.4f} on {agreement.tokens} tokens"
    if not agreement.against:
        return figure
    return f"{figure}, {agreement.apart:.2%} from {agreement.against}, at most {agreement.bound:.2%}"


def _check_report(name: str, report: Any, agreements: tuple[Agreement, ...]) -> None:
    """Refuses a report that says otherwise than the record: one of them was tampered with."""
    if not isinstance(report, dict):
        raise _refused(name, "its report is no report of an export")
    parity = report.get("parity")
    if not isinstance(parity, list) or not all(_held(row) for row in parity):
        raise _refused(name, "its report does not say that parity held")
    written = {
        row.get("subject"): row.get("value") for row in report.get("perplexities") or () if isinstance(row, dict)
    }
    for agreement in agreements:
        value = written.get(agreement.subject)
        if not isinstance(value, (int, float)) or not math.isclose(value, agreement.value, rel_tol=1e-6):
            raise _refused(
                name,
                f"its report gives {value!r} for the perplexity of {agreement.subject}, its record {agreement.value!r}",
            )


def _held(row: Any) -> bool:
    try:
        return bool(row["apart"] <= row["bound"])
    except (KeyError, TypeError):
        return False


def _refused(name: str, why: str) -> Refused:
    return Refused("NOT_VERIFIED", f"{name!r} is not published: {why}", export_job=name)
