"""TrainService: from the wire to the domain and back."""

# ruff: noqa: ARG002 (gRPC passes a context to every method)

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from bookmill.v1 import train_pb2, train_pb2_grpc
from services.common.objects import Reference
from services.common.storage import Store
from services.jobs.following import Jobs
from services.jobs.inputs import require_folder
from services.jobs.kinds import JobView
from services.train.estimating import Estimate, estimate
from services.train.facts import read_data, read_model
from services.train.settings import TrainSettings
from services.train.training_jobs import complete

Context = grpc.aio.ServicerContext[Any, Any]
TrainingJobs = Jobs[train_pb2.TrainingSpec, train_pb2.TrainingResult]
TrainingView = JobView[train_pb2.TrainingSpec, train_pb2.TrainingResult]


@dataclass(frozen=True, slots=True)
class TrainServicer(train_pb2_grpc.TrainServiceServicer):
    """The service. What each call raises stands in its proto."""

    jobs: TrainingJobs
    store: Store
    settings: TrainSettings

    async def EstimateTraining(
        self, request: train_pb2.EstimateTrainingRequest, context: Context
    ) -> train_pb2.EstimateTrainingResponse:
        """Says what a training would take."""
        spec = complete(request.spec)
        dataset, model = await self._inputs(spec)
        recorded = await self.jobs.recorded(spec)
        figures = await asyncio.to_thread(self._estimate, spec, dataset, model)
        return train_pb2.EstimateTrainingResponse(
            tokens=figures.tokens,
            steps=figures.steps,
            parameters=figures.parameters,
            trainable_parameters=figures.trainable_parameters,
            memory_bytes=figures.memory_bytes,
            disk_bytes=figures.disk_bytes,
            seconds=figures.seconds,
            recorded=recorded,
        )

    async def CreateTrainingJob(
        self, request: train_pb2.CreateTrainingJobRequest, context: Context
    ) -> train_pb2.TrainingJob:
        """Starts a training, or gives the one there is."""
        spec = complete(request.spec)
        if not await self.jobs.recorded(spec):
            await self._inputs(spec)
        if request.validate_only:
            return _message(await self.jobs.validated(spec))
        return _message(await self.jobs.create(spec, request.retry))

    async def GetTrainingJob(self, request: train_pb2.GetTrainingJobRequest, context: Context) -> train_pb2.TrainingJob:
        """Looks at a job."""
        return _message(await self.jobs.get(request.name))

    async def ListTrainingJobs(
        self, request: train_pb2.ListTrainingJobsRequest, context: Context
    ) -> train_pb2.ListTrainingJobsResponse:
        """Lists jobs."""
        views, token = await self.jobs.page(request.page_size, request.page_token)
        return train_pb2.ListTrainingJobsResponse(jobs=map(_message, views), next_page_token=token)

    async def WatchTrainingJob(
        self, request: train_pb2.WatchTrainingJobRequest, context: Context
    ) -> AsyncIterator[train_pb2.TrainingJob]:
        """Streams a job's changes."""
        async for view in self.jobs.watch(request.name):
            yield _message(view)

    async def CancelTrainingJob(
        self, request: train_pb2.CancelTrainingJobRequest, context: Context
    ) -> train_pb2.TrainingJob:
        """Stops a job."""
        return _message(await self.jobs.cancel(request.name))

    async def _inputs(self, spec: train_pb2.TrainingSpec) -> tuple[Reference, Reference]:
        dataset = await require_folder(self.store, spec.dataset, "dataset")
        return dataset, await require_folder(self.store, spec.base_model, "base_model")

    def _estimate(self, spec: train_pb2.TrainingSpec, dataset: Reference, model: Reference) -> Estimate:
        facts = read_model(self.store, model)
        data = read_data(self.store, dataset, model)
        gpu = self.settings.accelerator == "nvidia"
        return estimate(facts, data, spec.hyperparameters, gpu, self.settings.operations_per_second)


def _message(view: TrainingView) -> train_pb2.TrainingJob:
    return train_pb2.TrainingJob(
        name=view.name,
        spec=view.spec,
        state=view.state,
        reason=view.reason,
        progress=view.progress,
        result=view.result,
        manifest=view.manifest,
    )
