"""A training from files on disk to its result in the store: measure, train, measure again, report."""

import math
import shutil
from pathlib import Path
from typing import Any

import datasets
import torch

from bookmill.v1 import train_pb2
from services.common.canonical import JSON, canonical_json
from services.common.objects import Reference
from services.evaluation.perplexity import Perplexity, perplexity
from services.evaluation.texts import held_out_tokens, start_token
from services.jobs.exits import Interrupted, NotFinite
from services.jobs.program import JobContext
from services.train.job import model as models
from services.train.job.adapter import save_adapter
from services.train.job.checkpoints import Checkpoints
from services.train.job.config import TEST_SPLIT, TRAIN_SPLIT, TrainingConfig
from services.train.job.data import check_split, load_sequences


def run(
    spec: train_pb2.TrainingSpec, config: TrainingConfig, context: JobContext, data: Path, model: Path
) -> train_pb2.TrainingResult:
    """Trains and measures.

    Args:
        spec: what was asked.
        config: its hyper-parameters, checked.
        context: the job.
        data: the dataset's folder.
        model: the base model's folder.

    Raises:
        JobError: as `services.jobs.exits` lists them.
    """
    on = models.accelerator()
    config.quantised(on.gpu)
    models.check_folder(model, config)
    check_split(data / TRAIN_SPLIT)
    _fix_arithmetic(context.threads, on)
    trainee = models.load(model, config, on)
    # After the model: unsloth patches what these import.
    from services.train.job.report import final_loss, report
    from services.train.job.training import memory_errors, train

    with memory_errors(config):
        start = start_token(trainee.tokenizer)
        sequences = load_sequences(data / TRAIN_SPLIT, trainee.tokenizer, config.context_length, start, context.scratch)
        measure = _Measurement(trainee, config, context, data / TEST_SPLIT)
        before = measure.before()
        trained = train(trainee, sequences, config, on, Checkpoints(context.store, context.job), context)
        adapter = _keep_adapter(trainee.model, context, spec.base_model.sha256)
        after = measure.after()
    perplexities = {} if before is None or after is None else {"before": before, "after": after}
    how: dict[str, JSON] = {
        "accelerator": on.name,
        "dtype": str(on.dtype).removeprefix("torch."),
        "threads": context.threads,
    }
    written = canonical_json(report(spec, config, how, sequences, trained, perplexities))
    result = train_pb2.TrainingResult(
        adapter=adapter.to_proto(),
        report=context.store.put_bytes("reports", written, ".json").to_proto(),
        steps=trained.steps,
        tokens=trained.tokens,
        final_loss=final_loss(trained),
    )
    if before is not None and after is not None:
        result.perplexity_before = before.value
        result.perplexity_after = after.value
        result.evaluation_tokens = after.tokens
    return result


class _Measurement:
    """Perplexity on the held-out split, before and after; of nothing when nothing is held out."""

    def __init__(self, trainee: models.Trainee, config: TrainingConfig, context: JobContext, split: Path) -> None:
        self._model = trainee.model
        self._context = context
        self._window = config.context_length
        self._start = start_token(trainee.tokenizer)
        self._tokens: list[int] = []
        if split.is_file():
            check_split(split)
            self._tokens = held_out_tokens(split, trainee.tokenizer, config.evaluation_tokens)

    def before(self) -> Perplexity | None:
        """Measures the base model, once for all attempts."""
        key = f"checkpoints/{self._context.job}/before.json"
        known = self._context.store.get_record(key)
        if known is not None:
            return Perplexity(known["value"], known["tokens"])
        with models.adapters_off(self._model):
            measured = self._measure("measuring the base model")
        if measured is not None:
            self._context.store.put_record(key, {"value": measured.value, "tokens": measured.tokens})
        return measured

    def after(self) -> Perplexity | None:
        """Measures the model with its adapter."""
        return self._measure("measuring the trained model")

    def _measure(self, activity: str) -> Perplexity | None:
        if len(self._tokens) < 2:  # nothing to predict
            return None

        def follow(done: int, total: int) -> None:
            if self._context.stop.requested:
                raise Interrupted(message=f"asked to stop while {activity}")
            self._context.report(activity, done, total, "tokens")

        measured = perplexity(self._model, self._tokens, self._window, self._start, follow)
        if not math.isfinite(measured.value):
            raise NotFinite(message=f"{activity}: its perplexity on held-out text is {measured.value}")
        return measured


def _fix_arithmetic(threads: int, on: models.Accelerator) -> None:
    """Makes sums come out the same each time: one number of threads, and no kernel that is not deterministic."""
    datasets.disable_progress_bars()
    torch.set_num_threads(threads)
    # Some GPU kernels have no deterministic form; there, the recorded result stands.
    torch.use_deterministic_algorithms(not on.gpu)


def _keep_adapter(model: Any, context: JobContext, base_model: str) -> Reference:
    folder = context.scratch / "adapter"
    # An attempt has a scratch folder of its own, so that nothing lies here.
    save_adapter(model, folder, base_model)
    kept = context.store.put_folder("adapters", folder)
    shutil.rmtree(folder)
    return kept
