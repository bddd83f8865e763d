from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bookmill.v1 import export_pb2, export_pb2_grpc
from services.common.objects import Reference
from services.common.storage import Store
from services.export.exporting_jobs import EXPORTING, complete
from services.export.needs import export_needs
from services.export.settings import ExportSettings
from services.jobs.kubernetes.settings import size_of
from tests.support.api_server import ApiServer
from tests.support.api_services import serve
from tests.support.fake_jobs import Workplace
from tests.support.toy_objects import put_folder

STUB: Any = export_pb2_grpc.ExportServiceStub
MIB = 1 << 20


@pytest.fixture
def server() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.stop()


@pytest.fixture
async def spec(store: Store) -> export_pb2.ExportSpec:
    sizes = {"models": 40, "adapters": 10, "datasets": 5}
    parts = [await put_folder(store, area, {"x": b"x" * (size * MIB)}) for area, size in sizes.items()]
    model, adapter, dataset = map(Reference.to_proto, parts)
    return export_pb2.ExportSpec(base_model=model, adapter=adapter, dataset=dataset)


async def test_memory_and_disk_come_from_the_inputs(
    server: ApiServer, tmp_path: Path, store: Store, store_environment: dict[str, str], spec: export_pb2.ExportSpec
) -> None:
    place = Workplace.at(tmp_path, store, store_environment)
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    service = serve(place, server, tmp_path, "export", accelerator="nvidia", resources=resources)
    try:
        ask = export_pb2.CreateExportJobRequest(spec=spec)
        made = await service.call(STUB, "CreateExportJob", ask, export_pb2.ExportJob)
    finally:
        service.terminate()
    (there,) = server.jobs.values()
    assert made.name == f"exportJobs/{there['metadata']['name']}"
    given = there["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert "nvidia.com/gpu" not in given["limits"]
    filled = complete(spec, ExportSettings())
    needs = export_needs(store)(EXPORTING.order(EXPORTING.step.key(filled), filled))
    # Two models, the adapter and the data and a fifth; two and a half models in memory beside the libraries.
    assert needs.disk_bytes == pytest.approx(1.2 * (2 * 40 + 10 + 5) * MIB, abs=MIB)
    assert needs.memory_bytes == pytest.approx((2.5 * 40 + 10 + 2048) * MIB, abs=MIB)
    for kind in ("requests", "limits"):
        assert size_of(given[kind]["ephemeral-storage"]) == pytest.approx(needs.disk_bytes + 2048 * MIB, abs=MIB)
        assert size_of(given[kind]["memory"]) == pytest.approx(needs.memory_bytes, abs=MIB)
