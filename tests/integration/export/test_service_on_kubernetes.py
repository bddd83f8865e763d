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
    return await _spec(store, b'{"vocab_size": 1024}')


async def _spec(store: Store, config: bytes) -> export_pb2.ExportSpec:
    sizes = {"models": 40, "adapters": 10, "datasets": 5}
    files = {"config.json": config}
    parts = [await put_folder(store, area, {"x": b"x" * (size * MIB), **files}) for area, size in sizes.items()]
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
    # Two models, the adapter and the data and a fifth.
    assert needs.disk_bytes == pytest.approx(1.2 * (2 * 40 + 10 + 5) * MIB, abs=MIB)
    # Two and a half models in memory, beside the libraries and 2,048 rows of 1,024 logits.
    assert needs.memory_bytes == pytest.approx((2.5 * 40 + 10 + 2048 + 8) * MIB, abs=MIB)
    for kind in ("requests", "limits"):
        assert size_of(given[kind]["ephemeral-storage"]) == pytest.approx(needs.disk_bytes + 2048 * MIB, abs=MIB)
        assert size_of(given[kind]["memory"]) == pytest.approx(needs.memory_bytes, abs=MIB)


@pytest.mark.parametrize(
    ("config", "vocabulary"),
    [
        (b'{"vocab_size": 1024}', 1024),
        (b'{"text_config": {"vocab_size": 2048}}', 2048),
        (b"{}", 262_144),
        (b"[]", 262_144),
        (b"no JSON", 262_144),
    ],
)
async def test_memory_holds_the_logits_of_a_window(store: Store, config: bytes, vocabulary: int) -> None:
    spec = await _spec(store, config)
    needs = export_needs(store)
    for context, parity, window in ((512, 2048, 512), (8192, 2048, 2048), (8192, 16384, 8192)):
        spec.context_length, spec.parity_tokens = context, parity
        found = needs(EXPORTING.order("0" * 64, complete(spec, ExportSettings())))
        weights = (2.5 * 40 + 10 + 2048) * MIB
        assert found.memory_bytes - weights == pytest.approx(4 * window * vocabulary, abs=MIB)
