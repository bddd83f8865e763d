"""ExportService: from the wire to the domain and back."""

# ruff: noqa: ARG002 (gRPC passes a context to every method)

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from bookmill.v1 import export_pb2, export_pb2_grpc
from services.common.storage import Store
from services.export.exporting_jobs import complete
from services.export.publishing import Publisher
from services.export.settings import ExportSettings
from services.jobs.following import Jobs
from services.jobs.inputs import require_folder
from services.jobs.kinds import JobView

Context = grpc.aio.ServicerContext[Any, Any]
ExportJobs = Jobs[export_pb2.ExportSpec, export_pb2.ExportResult]
ExportView = JobView[export_pb2.ExportSpec, export_pb2.ExportResult]


@dataclass(frozen=True, slots=True)
class ExportServicer(export_pb2_grpc.ExportServiceServicer):
    """The service. What each call raises stands in its proto."""

    jobs: ExportJobs
    publisher: Publisher
    store: Store
    settings: ExportSettings

    async def CreateExportJob(
        self, request: export_pb2.CreateExportJobRequest, context: Context
    ) -> export_pb2.ExportJob:
        """Starts an export, or gives the one there is."""
        spec = complete(request.spec, self.settings)
        if not await self.jobs.recorded(spec):
            await require_folder(self.store, spec.base_model, "base_model")
            await require_folder(self.store, spec.adapter, "adapter")
            await require_folder(self.store, spec.dataset, "dataset")
        if request.validate_only:
            return _message(await self.jobs.validated(spec))
        return _message(await self.jobs.create(spec, request.retry))

    async def GetExportJob(self, request: export_pb2.GetExportJobRequest, context: Context) -> export_pb2.ExportJob:
        """Looks at a job."""
        return _message(await self.jobs.get(request.name))

    async def ListExportJobs(
        self, request: export_pb2.ListExportJobsRequest, context: Context
    ) -> export_pb2.ListExportJobsResponse:
        """Lists jobs."""
        views, token = await self.jobs.page(request.page_size, request.page_token)
        return export_pb2.ListExportJobsResponse(jobs=map(_message, views), next_page_token=token)

    async def WatchExportJob(
        self, request: export_pb2.WatchExportJobRequest, context: Context
    ) -> AsyncIterator[export_pb2.ExportJob]:
        """Streams a job's changes."""
        async for view in self.jobs.watch(request.name):
            yield _message(view)

    async def CancelExportJob(
        self, request: export_pb2.CancelExportJobRequest, context: Context
    ) -> export_pb2.ExportJob:
        """Stops a job."""
        return _message(await self.jobs.cancel(request.name))

    async def PublishDataset(
        self, request: export_pb2.PublishDatasetRequest, context: Context
    ) -> export_pb2.PublishResponse:
        """Sends a dataset to a Hub."""
        return await self.publisher.publish_dataset(request)

    async def PublishModel(
        self, request: export_pb2.PublishModelRequest, context: Context
    ) -> export_pb2.PublishResponse:
        """Sends a model to a Hub."""
        return await self.publisher.publish_model(request)

    async def PushOllamaModel(
        self, request: export_pb2.PushOllamaModelRequest, context: Context
    ) -> export_pb2.PublishResponse:
        """Creates a model on an Ollama server."""
        return await self.publisher.push_ollama_model(request)


def _message(view: ExportView) -> export_pb2.ExportJob:
    return export_pb2.ExportJob(
        name=view.name,
        spec=view.spec,
        state=view.state,
        reason=view.reason,
        progress=view.progress,
        result=view.result,
        manifest=view.manifest,
    )
