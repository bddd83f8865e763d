"""The export, as the list of its stages. Each proves what it made before the next one builds on it."""

import torch

from bookmill.v1 import export_pb2
from services.common.canonical import canonical_json
from services.common.objects import Reference
from services.export.job.bench import AREA, Bench
from services.export.job.config import Plan
from services.export.job.files import make_f16, make_quantized
from services.export.job.modelfile import Recipe, modelfile
from services.export.job.models import make_merged, measure_base
from services.export.job.quantizations import F16
from services.export.job.report import Made, report
from services.export.job.stages import Stages
from services.jobs.program import JobContext


def export(spec: export_pb2.ExportSpec, context: JobContext) -> export_pb2.ExportResult:
    """Merges, converts, quantises and verifies.

    Args:
        spec: with all its defaults filled in.
        context: of the job.

    Raises:
        ParityFailed: a model does not predict the held-out text as well as what it was made of.
        JobError: as the stages say.
    """
    plan = Plan.from_spec(spec)
    torch.set_num_threads(context.threads)
    stages, bench = Stages(context), Bench(plan, context)
    text = bench.held_out(stages.run("text", bench.make_text))
    measured = stages.run("base", lambda: measure_base(plan, bench, text))
    merged = stages.run("merged", lambda: make_merged(plan, bench, text, measured))
    files = {F16: stages.run(F16, lambda: make_f16(plan, bench, text, merged))}
    for name in plan.files[1:]:
        files[name] = stages.run(name, lambda: make_quantized(name, plan, bench, text, files[F16]))  # noqa: B023
    return _result(plan, context, Made(text, measured, merged, files))


def _result(plan: Plan, context: JobContext, made: Made) -> export_pb2.ExportResult:
    first = plan.quantizations[0]
    recipe = Recipe(
        plan.file_name(first),
        made.text["end_text"],
        plan.context_length,
        plan.sampling.temperature,
        plan.sampling.top_p,
    )
    result = export_pb2.ExportResult(
        merged=Reference.from_json(made.merged["folder"]).to_proto(),
        modelfile=context.store.put_bytes(AREA, modelfile(recipe).encode(), ".modelfile").to_proto(),
        report=context.store.put_bytes("reports", canonical_json(report(plan, made)), ".json").to_proto(),
    )
    for name in (*plan.quantizations, *(() if F16 in plan.quantizations else (F16,))):
        file = made.files[name]
        result.files.add(
            quantization=name,
            file_name=plan.file_name(name),
            file=Reference.from_json(file["file"]).to_proto(),
            bits_per_weight=file["bits_per_weight"],
        )
    for subject, figure in made.figures.items():
        result.perplexities.add(subject=subject, value=figure["value"], tokens=figure["tokens"])
    for prompt, base, tuned in made.samples(plan):
        result.samples.add(prompt=prompt, base=base, tuned=tuned)
    return result
