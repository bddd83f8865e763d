"""Runs the ingest service: `python -m services.ingest`."""

import asyncio
import os
import ssl

# Before the client of the Hub is imported: files come over HTTP, where they can be guarded and resumed.
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from bookmill.v1 import ingest_pb2, ingest_pb2_grpc
from services.common import telemetry
from services.common.opening import open_store
from services.common.server import run, serve
from services.common.settings import ServerSettings, StoreSettings, load
from services.common.storage import Store
from services.common.workers import Workers
from services.ingest.bodies import Text, read_text
from services.ingest.buckets import Buckets
from services.ingest.gutendex import Catalogue
from services.ingest.models import MODEL_SOURCES, ModelMeans
from services.ingest.politeness import Clock, Pace, SystemClock
from services.ingest.servicer import IngestServicer
from services.ingest.settings import IngestSettings
from services.ingest.sources import SOURCES, Means
from services.ingest.web import Web
from services.ingest.workroom import Workroom

SERVICE = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name


def main() -> None:
    """Loads the settings and serves until SIGTERM."""
    telemetry.configure("ingest")
    run(_serve(load(IngestSettings), load(StoreSettings), load(ServerSettings)))


async def _serve(settings: IngestSettings, store_settings: StoreSettings, server: ServerSettings) -> None:
    store = await open_store(store_settings)
    workers = Workers(server.workers)
    servicer = build_servicer(settings, store_settings, store, workers, SystemClock())
    try:
        await serve(
            "ingest", server, lambda s: ingest_pb2_grpc.add_IngestServiceServicer_to_server(servicer, s), (SERVICE,)
        )
    finally:
        workers.close()


def build_servicer(
    settings: IngestSettings, store_settings: StoreSettings, store: Store, workers: Workers, clock: Clock
) -> IngestServicer:
    """Puts the service together. Raises OSError where the work folder cannot be made."""
    tls = ssl.create_default_context(cafile=str(settings.ca_file)) if settings.ca_file else None
    web = Web(
        settings.guard(),
        Pace(settings.seconds_between_requests, clock),
        backoff=settings.backoff(),
        limits=settings.limits(settings.total_seconds),
        user_agent=settings.user_agent,
        tls=tls,
    )
    hub_web = Web(
        settings.hub_guard(),
        Pace(0.0, clock),
        backoff=settings.backoff(),
        limits=settings.limits(settings.hub_total_seconds),
        user_agent=settings.user_agent,
        tls=tls,
    )
    catalogue = Catalogue(web, settings.catalogue_url, clock, settings.backoff())
    buckets = Buckets(settings.buckets(store_settings), settings.s3_prefixes)
    rooms = Workroom(settings.work_dir, settings.work_keep_seconds)
    means = Means(
        web,
        store,
        buckets,
        catalogue,
        settings.catalogue_name,
        settings.mirrors,
        settings.roots,
        settings.book_limit,
        clock,
    )
    model_means = ModelMeans(
        hub_web,
        store,
        buckets,
        settings.roots,
        settings.hub_endpoint,
        settings.hub_token,
        clock,
        settings.work_dir,
        settings.model_limit,
    )

    async def read(raw: bytes, limit: int) -> Text:
        return await workers.run(read_text, raw, limit)

    return IngestServicer(
        store=store,
        catalogue=catalogue,
        sources={scheme: make(means) for scheme, make in SOURCES.items()},
        model_sources={scheme: make(model_means) for scheme, make in MODEL_SOURCES.items()},
        read=read,
        book_limit=settings.book_limit,
        model_limit=settings.model_limit,
        rooms=rooms,
        slots=asyncio.Semaphore(settings.concurrent_books),
    )


if __name__ == "__main__":
    main()
