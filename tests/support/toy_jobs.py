"""The train and export services with toy jobs: named from their specs, at most once at a time, cancellable."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from bookmill.v1 import export_pb2, export_pb2_grpc, object_pb2, train_pb2, train_pb2_grpc
from services.common.canonical import canonical_json
from services.common.errors import InvalidInput, NotFound
from services.common.steps import Step, record, recorded
from services.common.storage import Store
from tests.support.toy_objects import put_folder

FINAL = {object_pb2.STATE_SUCCEEDED, object_pb2.STATE_FAILED, object_pb2.STATE_CANCELLED}
STEPS = 4


class _Jobs:
    """Jobs of one kind. `fail` makes the next ones fail with a reason."""

    def __init__(self, store: Store, faults: Any, step: Step, prefix: str, job_type: type, result_type: type) -> None:
        self.store, self.faults, self.step, self.prefix = store, faults, step, prefix
        self.job_type, self.result_type = job_type, result_type
        self.jobs: dict[str, Any] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.fail: object_pb2.Refusal | None = None

    async def create(self, spec: Any, validate_only: bool, retry: bool, compute: Any) -> Any:
        hashed = self.step.key(spec)
        name = f"{self.prefix}{hashed[:20]}"
        if validate_only:
            return self.job_type(name=name, spec=spec, state=object_pb2.STATE_PENDING)
        job = self.jobs.get(name)
        if job is not None and (job.state not in {object_pb2.STATE_FAILED, object_pb2.STATE_CANCELLED} or not retry):
            return job
        result = await asyncio.to_thread(recorded, self.store, self.step, hashed, self.result_type)
        if (made := self.jobs.get(name)) is not job:
            return made  # by another call, meanwhile
        job = self.job_type(name=name, spec=spec, state=object_pb2.STATE_RUNNING)
        self.jobs[name] = job
        if result is not None:
            job.state = object_pb2.STATE_SUCCEEDED
            job.result.CopyFrom(result)
            return job
        self.tasks[name] = asyncio.create_task(self._work(job, hashed, spec, compute))
        return job

    async def _work(self, job: Any, hashed: str, spec: Any, compute: Any) -> None:
        self.faults.work[self.step.name] += 1
        for step in range(STEPS):
            job.progress.CopyFrom(
                object_pb2.Progress(
                    activity="working", completed=step, total=STEPS, unit="steps", figures={"loss": 2.0}
                )
            )
            await self.faults.meet(f"{self.step.name}:step")
            await asyncio.sleep(0)
        if self.fail is not None:
            job.reason.CopyFrom(self.fail)
            job.state = object_pb2.STATE_FAILED
            return
        result = await compute(spec)
        await asyncio.to_thread(record, self.store, self.step, hashed, spec, result)
        job.result.CopyFrom(result)
        job.state = object_pb2.STATE_SUCCEEDED

    def get(self, name: str) -> Any:
        if name not in self.jobs:
            raise NotFound("NO_SUCH_JOB", f"there is no job {name!r}")
        return self.jobs[name]

    async def watch(self, name: str) -> AsyncIterator[Any]:
        job = self.get(name)
        last = b""
        while True:
            now = job.SerializeToString(deterministic=True)
            if now != last:
                last = now
                yield job
            if job.state in FINAL:
                return
            await asyncio.sleep(0.01)
            job = self.get(name)

    def cancel(self, name: str) -> Any:
        job = self.get(name)
        if job.state not in FINAL:
            self.tasks.pop(name).cancel()
            job.state = object_pb2.STATE_CANCELLED
        return job

    async def close(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


class ToyTrain(train_pb2_grpc.TrainServiceServicer):
    def __init__(self, store: Store, faults: Any) -> None:
        self.store, self.faults = store, faults
        step = Step("train_model", 1)
        self.all = _Jobs(store, faults, step, "trainingJobs/train-", train_pb2.TrainingJob, train_pb2.TrainingResult)

    async def EstimateTraining(
        self, request: train_pb2.EstimateTrainingRequest, context: Any
    ) -> train_pb2.EstimateTrainingResponse:
        return train_pb2.EstimateTrainingResponse(tokens=1000, steps=4)

    async def CreateTrainingJob(self, request: train_pb2.CreateTrainingJobRequest, context: Any) -> Any:
        await self.faults.meet("CreateTrainingJob:validate" if request.validate_only else "CreateTrainingJob")
        spec = train_pb2.TrainingSpec()
        spec.CopyFrom(request.spec)
        spec.hyperparameters.context_length = spec.hyperparameters.context_length or 2048
        if spec.hyperparameters.lora_rank == 13:
            raise InvalidInput("BAD_HYPERPARAMETER", "unlucky", field="hyperparameters.lora_rank")
        return await self.all.create(spec, request.validate_only, request.retry, self._result)

    async def GetTrainingJob(self, request: train_pb2.GetTrainingJobRequest, context: Any) -> Any:
        return self.all.get(request.name)

    async def ListTrainingJobs(self, request: train_pb2.ListTrainingJobsRequest, context: Any) -> Any:
        return train_pb2.ListTrainingJobsResponse(jobs=self.all.jobs.values())

    async def WatchTrainingJob(self, request: train_pb2.WatchTrainingJobRequest, context: Any) -> AsyncIterator[Any]:
        await self.faults.meet("WatchTrainingJob")
        async for job in self.all.watch(request.name):
            yield job

    async def CancelTrainingJob(self, request: train_pb2.CancelTrainingJobRequest, context: Any) -> Any:
        await self.faults.meet("CancelTrainingJob")
        return self.all.cancel(request.name)

    async def close(self) -> None:
        await self.all.close()

    async def _result(self, spec: train_pb2.TrainingSpec) -> train_pb2.TrainingResult:
        weights = f"{spec.dataset.sha256} {spec.base_model.sha256}".encode()
        adapter = await put_folder(self.store, "adapters", {"adapter_model.safetensors": weights})
        curve = [{"step": step, "loss": 3.0 - step / 10} for step in range(1, STEPS + 1)]
        report = await asyncio.to_thread(
            self.store.put_bytes, "reports", canonical_json({"loss": curve, "of": adapter.sha256}), ".json"
        )
        return train_pb2.TrainingResult(
            adapter=adapter.to_proto(),
            report=report.to_proto(),
            steps=STEPS,
            tokens=1000,
            final_loss=2.6,
            perplexity_before=20.0,
            perplexity_after=18.0,
            evaluation_tokens=500,
        )


class ToyExport(export_pb2_grpc.ExportServiceServicer):
    def __init__(self, store: Store, faults: Any) -> None:
        self.store, self.faults = store, faults
        step = Step("export_model", 1)
        self.all = _Jobs(store, faults, step, "exportJobs/export-", export_pb2.ExportJob, export_pb2.ExportResult)
        self.sent: list[Any] = []

    async def CreateExportJob(self, request: export_pb2.CreateExportJobRequest, context: Any) -> Any:
        await self.faults.meet("CreateExportJob:validate" if request.validate_only else "CreateExportJob")
        known = {"f16", "q4_k_m", "q8_0"}
        for name in request.spec.quantizations:
            if name not in known:
                choices = ", ".join(sorted(known))
                raise InvalidInput(
                    "BAD_QUANTISATION", f"{name!r} is none of {choices}", field="quantizations", choices=choices
                )
        spec = export_pb2.ExportSpec()
        spec.CopyFrom(request.spec)
        spec.bounds.MergeFrom(export_pb2.ParityBounds(merged=0.01, f16=0.01, quantized=0.1))
        return await self.all.create(spec, request.validate_only, request.retry, self._result)

    async def GetExportJob(self, request: export_pb2.GetExportJobRequest, context: Any) -> Any:
        return self.all.get(request.name)

    async def ListExportJobs(self, request: export_pb2.ListExportJobsRequest, context: Any) -> Any:
        return export_pb2.ListExportJobsResponse(jobs=self.all.jobs.values())

    async def WatchExportJob(self, request: export_pb2.WatchExportJobRequest, context: Any) -> AsyncIterator[Any]:
        async for job in self.all.watch(request.name):
            yield job

    async def CancelExportJob(self, request: export_pb2.CancelExportJobRequest, context: Any) -> Any:
        return self.all.cancel(request.name)

    async def PublishDataset(self, request: export_pb2.PublishDatasetRequest, context: Any) -> Any:
        return await self._publish("PublishDataset", request, request.repository, request.dry_run)

    async def PublishModel(self, request: export_pb2.PublishModelRequest, context: Any) -> Any:
        return await self._publish("PublishModel", request, request.repository, request.dry_run)

    async def PushOllamaModel(self, request: export_pb2.PushOllamaModelRequest, context: Any) -> Any:
        return await self._publish("PushOllamaModel", request, request.model, request.dry_run)

    async def close(self) -> None:
        await self.all.close()

    async def _publish(self, method: str, request: Any, address: str, dry_run: bool) -> export_pb2.PublishResponse:
        await self.faults.meet(method)
        self.sent.append(request)
        return export_pb2.PublishResponse(address=address, dry_run=dry_run)

    async def _result(self, spec: export_pb2.ExportSpec) -> export_pb2.ExportResult:
        merged = await put_folder(self.store, "models", {"model.safetensors": spec.adapter.sha256.encode()})
        files = []
        for name in dict.fromkeys(("f16", *spec.quantizations)):
            data = f"GGUF {name} {merged.sha256}".encode() * 1000
            file = await asyncio.to_thread(self.store.put_bytes, "models", data, ".gguf")
            files.append(
                export_pb2.ModelFile(
                    quantization=name,
                    file_name=f"{spec.model_name}.{name}.gguf",
                    file=file.to_proto(),
                    bits_per_weight=4.8,
                )
            )
        modelfile = await asyncio.to_thread(self.store.put_bytes, "models", b"FROM x\n", ".modelfile")
        report = await asyncio.to_thread(
            self.store.put_bytes, "reports", canonical_json({"of": merged.sha256}), ".json"
        )
        values = {
            "base": 20.0,
            "adapter": 18.0,
            "merged": 18.01,
            "f16": 18.02,
            **dict.fromkeys(spec.quantizations, 18.5),
        }
        return export_pb2.ExportResult(
            merged=merged.to_proto(),
            files=files,
            modelfile=modelfile.to_proto(),
            report=report.to_proto(),
            perplexities=[export_pb2.Perplexity(subject=s, value=v, tokens=400) for s, v in values.items()],
            samples=[export_pb2.Sample(prompt="It was", base="a day", tuned="a dark night")],
        )
