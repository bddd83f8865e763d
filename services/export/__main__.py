"""Runs the export service: `python -m services.export`."""

import asyncio
import os

from bookmill.v1 import export_pb2, export_pb2_grpc
from services.common import telemetry
from services.common.server import run, serve
from services.common.settings import ServerSettings, StoreSettings, load
from services.common.storage import Store
from services.export.exporting_jobs import EXPORTING
from services.export.publishing import Publisher
from services.export.publishing_settings import PublishingSettings
from services.export.servicer import ExportJobs, ExportServicer
from services.export.settings import ExportSettings
from services.jobs.following import Jobs
from services.jobs.local import LocalLauncher
from services.jobs.records import JobRecords

SERVICE = export_pb2.DESCRIPTOR.services_by_name["ExportService"].full_name


def main() -> None:
    """Loads the settings and serves until SIGTERM."""
    telemetry.configure("export")
    run(_serve(load(ExportSettings), load(PublishingSettings), load(StoreSettings), load(ServerSettings)))


async def _serve(
    settings: ExportSettings, publishing: PublishingSettings, store_settings: StoreSettings, server: ServerSettings
) -> None:
    store = Store(store_settings)
    await asyncio.to_thread(store.ensure_bucket)
    publisher = Publisher(store, publishing)
    launcher = LocalLauncher(JobRecords(store), settings, store_settings, os.environ)
    jobs: ExportJobs = Jobs(EXPORTING, store, launcher)
    servicer = ExportServicer(jobs, publisher, store, settings)
    await jobs.resume()
    try:
        await serve(
            "export",
            server,
            lambda s: export_pb2_grpc.add_ExportServiceServicer_to_server(servicer, s),
            (SERVICE,),
            on_stop=jobs.close,
        )
    finally:
        publisher.close()


if __name__ == "__main__":
    main()
