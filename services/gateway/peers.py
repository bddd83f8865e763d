"""The stubs of the five services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import grpc

from bookmill.v1 import chunk_pb2_grpc, clean_pb2_grpc, export_pb2_grpc, ingest_pb2_grpc, train_pb2_grpc
from services.common import clients
from services.gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Peers:
    """A stub for each service."""

    ingest: "ingest_pb2_grpc.IngestServiceAsyncStub"
    clean: "clean_pb2_grpc.CleanServiceAsyncStub"
    chunk: "chunk_pb2_grpc.ChunkServiceAsyncStub"
    train: "train_pb2_grpc.TrainServiceAsyncStub"
    export: "export_pb2_grpc.ExportServiceAsyncStub"
    channels: tuple[grpc.aio.Channel, ...]

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: GatewaySettings) -> AsyncIterator[Self]:
        """Opens the channels, which connect when they are first used, and closes them at the end."""
        addresses = (settings.ingest, settings.clean, settings.chunk, settings.train, settings.export)
        channels = tuple(clients.channel(address) for address in addresses)
        ingest, clean, chunk, train, export = channels
        try:
            yield cls(
                ingest_pb2_grpc.IngestServiceStub(ingest),
                clean_pb2_grpc.CleanServiceStub(clean),
                chunk_pb2_grpc.ChunkServiceStub(chunk),
                train_pb2_grpc.TrainServiceStub(train),
                export_pb2_grpc.ExportServiceStub(export),
                channels,
            )
        finally:
            for channel in channels:
                await channel.close()

    async def unreachable(self) -> list[str]:
        """Gives the names of the services whose channels are known to fail, for the readiness probe."""
        names = ("ingest", "clean", "chunk", "train", "export")
        failing = {grpc.ChannelConnectivity.TRANSIENT_FAILURE, grpc.ChannelConnectivity.SHUTDOWN}
        return [
            name
            for name, channel in zip(names, self.channels, strict=True)
            if channel.get_state(try_to_connect=True) in failing
        ]
