"""Runs the export service: `python -m services.export`."""

from bookmill.v1 import export_pb2, export_pb2_grpc
from services.common import telemetry
from services.common.opening import open_store
from services.common.server import run, serve
from services.common.settings import ServerSettings, StoreSettings, load
from services.export.exporting_jobs import EXPORTING
from services.export.needs import export_needs
from services.export.publishing import Publisher
from services.export.publishing_settings import PublishingSettings
from services.export.servicer import ExportJobs, ExportServicer
from services.export.settings import ExportSettings
from services.jobs.following import Jobs
from services.jobs.kubernetes.manifest import EXPORTER
from services.jobs.kubernetes.settings import ClusterSettings, load_cluster
from services.jobs.launching import make_launcher
from services.jobs.records import JobRecords

SERVICE = export_pb2.DESCRIPTOR.services_by_name["ExportService"].full_name


def main() -> None:
    """Loads the settings and serves until SIGTERM."""
    telemetry.configure("export")
    settings = load(ExportSettings)
    cluster = load_cluster(settings)
    run(_serve(settings, cluster, load(PublishingSettings), load(StoreSettings), load(ServerSettings)))


async def _serve(
    settings: ExportSettings,
    cluster: ClusterSettings | None,
    publishing: PublishingSettings,
    store_settings: StoreSettings,
    server: ServerSettings,
) -> None:
    store = await open_store(store_settings)
    publisher = Publisher(store, publishing)
    launcher = await make_launcher(
        EXPORTING, EXPORTER, export_needs(store), JobRecords(store), settings, store_settings, cluster
    )
    jobs: ExportJobs = Jobs(EXPORTING, store, launcher)
    servicer = ExportServicer(jobs, publisher, store, settings)
    try:
        async with jobs.kept_up():
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
