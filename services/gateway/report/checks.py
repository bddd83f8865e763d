"""Looks once more at what the export service verified, from its figures alone."""

import math

from bookmill.v1 import export_pb2, object_pb2, run_pb2


def failed_checks(run: run_pb2.Run, job: export_pb2.ExportJob | None) -> list[str]:
    """Gives what of a run is not verified, for a person; nothing when all of it is.

    Args:
        run: its state and stages.
        job: the export, None when there was none.
    """
    if run.state != object_pb2.STATE_SUCCEEDED:
        return [f"the run is {object_pb2.State.Name(run.state).removeprefix('STATE_').lower()}"]
    if job is None or job.state != object_pb2.STATE_SUCCEEDED:
        return ["there is no finished export"]
    measured = {p.subject: p.value for p in job.result.perplexities}
    bounds = job.spec.bounds
    pairs = [("merged", "adapter", bounds.merged), ("f16", "merged", bounds.f16)]
    pairs += [(name, "f16", bounds.quantized) for name in job.spec.quantizations if name != "f16"]
    failed = []
    for subject, against, bound in pairs:
        if subject not in measured or against not in measured:
            failed.append(f"the perplexity of {subject if subject not in measured else against} was not measured")
            continue
        apart = _apart(measured[subject], measured[against])
        if not apart <= bound:
            failed.append(f"{subject} is {apart:.4f} from {against}, more than {bound:g}")
    return failed


def _apart(one: float, other: float) -> float:
    """Gives `|a/b - 1|`, as ParityBounds has it; infinite for what is no perplexity."""
    if not (math.isfinite(one) and math.isfinite(other) and other > 0):
        return math.inf
    return abs(one / other - 1)
