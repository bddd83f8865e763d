from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bookmill.v1 import export_pb2, export_pb2_grpc, object_pb2
from services.common.errors import BookmillError, InvalidInput, NotFound, Refused
from services.common.objects import Reference
from services.common.steps import record
from services.common.storage import Store
from services.export.exporting_jobs import complete
from services.export.settings import ExportSettings
from services.export.step import EXPORT
from services.jobs.records import JobRecords
from tests.support.fake_jobs import Workplace
from tests.support.job_service import JobService
from tests.support.toy_objects import put_folder

STUB: Any = export_pb2_grpc.ExportServiceStub


@pytest.fixture
def service(tmp_path: Path, store: Store, store_environment: dict[str, str]) -> Iterator[JobService]:
    place = Workplace.at(tmp_path, store, store_environment)
    environment = {**place.environment, "BOOKMILL_EXPORT_WORK_DIR": str(place.folder)}
    service = JobService("services.export", environment, tmp_path / "export.log")
    yield service
    service.terminate()


@pytest.fixture
async def spec(store: Store) -> export_pb2.ExportSpec:
    """Of folders that are there and hold nothing of use."""
    parts = [await put_folder(store, area, {"x": b""}) for area in ("models", "adapters", "datasets")]
    model, adapter, dataset = map(Reference.to_proto, parts)
    return export_pb2.ExportSpec(base_model=model, adapter=adapter, dataset=dataset)


async def create(service: JobService, spec: export_pb2.ExportSpec, **options: bool) -> export_pb2.ExportJob:
    request = export_pb2.CreateExportJobRequest(spec=spec, **options)
    return await service.call(STUB, "CreateExportJob", request, export_pb2.ExportJob)


async def test_an_export_that_is_recorded_is_answered(
    service: JobService, store: Store, spec: export_pb2.ExportSpec
) -> None:
    filled = complete(spec, ExportSettings())
    report = store.put_bytes("reports", b"{}", ".json").to_proto()
    result = export_pb2.ExportResult(report=report, merged=spec.base_model, modelfile=report)
    record(store, EXPORT, EXPORT.key(filled), filled, result)
    job = await create(service, spec)
    assert job.state == object_pb2.STATE_SUCCEEDED
    assert job.result == result
    assert job.spec == filled
    assert job.name == f"exportJobs/export-{EXPORT.key(filled)[:20]}"
    got = await service.call(STUB, "GetExportJob", export_pb2.GetExportJobRequest(name=job.name), export_pb2.ExportJob)
    assert got == job
    listed = await service.call(
        STUB, "ListExportJobs", export_pb2.ListExportJobsRequest(), export_pb2.ListExportJobsResponse
    )
    assert list(listed.jobs) == [job]
    watch = export_pb2.WatchExportJobRequest(name=job.name)
    assert await service.watch(STUB, "WatchExportJob", watch, export_pb2.ExportJob) == [job]
    cancel = export_pb2.CancelExportJobRequest(name=job.name)
    assert await service.call(STUB, "CancelExportJob", cancel, export_pb2.ExportJob) == job


async def test_inputs_that_are_none_fail_the_real_job_with_a_reason(
    service: JobService, spec: export_pb2.ExportSpec
) -> None:
    job = await create(service, spec)
    watch = export_pb2.WatchExportJobRequest(name=job.name)
    ended = (await service.watch(STUB, "WatchExportJob", watch, export_pb2.ExportJob))[-1]
    assert ended.state == object_pb2.STATE_FAILED
    assert ended.reason.reason not in {"", "CRASHED"}
    assert ended.reason.message


def _quantisation(spec: export_pb2.ExportSpec) -> None:
    spec.quantizations.append("q4")


def _name(spec: export_pb2.ExportSpec) -> None:
    spec.model_name = "a/b"


def _adapter(spec: export_pb2.ExportSpec) -> None:
    spec.adapter.key = spec.adapter.key.replace("adapters/", "adapters/0")


def _dataset(spec: export_pb2.ExportSpec) -> None:
    spec.dataset.sha256 = "x"


@pytest.mark.parametrize(
    ("spoil", "kind", "reason", "field"),
    [
        (_quantisation, InvalidInput, "BAD_QUANTISATION", "quantizations"),
        (_name, InvalidInput, "BAD_OPTION", "model_name"),
        (_adapter, NotFound, "NO_SUCH_OBJECT", "adapter"),
        (_dataset, InvalidInput, "BAD_REFERENCE", "dataset"),
    ],
)
async def test_a_bad_request_is_refused(
    service: JobService,
    store: Store,
    spec: export_pb2.ExportSpec,
    spoil: Callable[[export_pb2.ExportSpec], None],
    kind: type[BookmillError],
    reason: str,
    field: str,
) -> None:
    spoil(spec)
    with pytest.raises(kind, match=reason) as caught:
        await create(service, spec)
    assert caught.value.metadata["field"] == field
    assert list(JobRecords(store).jobs()) == []


async def test_publishing_is_wired(service: JobService, spec: export_pb2.ExportSpec) -> None:
    request = export_pb2.PublishModelRequest(export_job="exportJobs/export-" + "0" * 20, repository="a/b", dry_run=True)
    with pytest.raises((Refused, NotFound), match="NOT_VERIFIED"):
        await service.call(STUB, "PublishModel", request, export_pb2.PublishResponse)
