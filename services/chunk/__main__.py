"""Runs the chunk service: `python -m services.chunk`."""

from bookmill.v1 import chunk_pb2, chunk_pb2_grpc
from services.chunk.rooms import prepare
from services.chunk.servicer import ChunkServicer
from services.chunk.settings import ChunkSettings
from services.common import telemetry
from services.common.opening import open_store
from services.common.server import run, serve
from services.common.settings import ServerSettings, StoreSettings, load
from services.common.workers import Workers

SERVICE = chunk_pb2.DESCRIPTOR.services_by_name["ChunkService"].full_name


def main() -> None:
    """Loads the settings and serves until SIGTERM."""
    telemetry.configure("chunk")
    run(_serve(load(ChunkSettings), load(StoreSettings), load(ServerSettings)))


async def _serve(settings: ChunkSettings, store_settings: StoreSettings, server: ServerSettings) -> None:
    prepare(settings.work_dir)
    store = await open_store(store_settings)
    workers = Workers(server.workers)
    servicer = ChunkServicer(store, workers, settings)
    try:
        await serve(
            "chunk", server, lambda s: chunk_pb2_grpc.add_ChunkServiceServicer_to_server(servicer, s), (SERVICE,)
        )
    finally:
        workers.close()


if __name__ == "__main__":
    main()
