"""Runs the clean service: `python -m services.clean`."""

from bookmill.v1 import clean_pb2, clean_pb2_grpc
from services.clean.servicer import CleanServicer
from services.clean.settings import CleanSettings
from services.common import telemetry
from services.common.opening import open_store
from services.common.server import run, serve
from services.common.settings import ServerSettings, StoreSettings, load
from services.common.workers import Workers

SERVICE = clean_pb2.DESCRIPTOR.services_by_name["CleanService"].full_name


def main() -> None:
    """Loads the settings and serves until SIGTERM."""
    telemetry.configure("clean")
    run(_serve(load(CleanSettings), load(StoreSettings), load(ServerSettings)))


async def _serve(settings: CleanSettings, store_settings: StoreSettings, server: ServerSettings) -> None:
    store = await open_store(store_settings)
    workers = Workers(server.workers)
    servicer = CleanServicer(store, workers, settings.options())
    try:
        await workers.warm()
        await serve(
            "clean", server, lambda s: clean_pb2_grpc.add_CleanServiceServicer_to_server(servicer, s), (SERVICE,)
        )
    finally:
        workers.close()


if __name__ == "__main__":
    main()
