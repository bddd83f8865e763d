"""CleanService: from the wire to the domain and back."""

import asyncio
from dataclasses import dataclass
from typing import Any

import grpc

from bookmill.v1 import clean_pb2, clean_pb2_grpc, object_pb2
from services.clean.cleaning import VERSION, Cleaned, Options, clean_bytes, require_size
from services.common.canonical import canonical_json
from services.common.objects import Reference
from services.common.steps import Step, answer
from services.common.storage import Store
from services.common.workers import Workers

CLEAN_BOOK = Step("clean_book", VERSION)

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class CleanServicer(clean_pb2_grpc.CleanServiceServicer):
    """The service. What each call raises stands in its proto."""

    store: Store
    workers: Workers
    options: Options

    async def CleanBook(
        self,
        request: clean_pb2.CleanBookRequest,
        context: Context,  # noqa: ARG002 (gRPC passes it)
    ) -> clean_pb2.CleanBookResponse:
        """Cleans one book."""
        text = Reference.from_proto(request.text, "text")

        async def compute() -> clean_pb2.CleanBookResponse:
            require_size(text.size, self.options)
            raw = await asyncio.to_thread(self.store.read, text, text.size)
            return await self._store(await self.workers.run(clean_bytes, raw, self.options))

        return await answer(self.store, CLEAN_BOOK, request, clean_pb2.CleanBookResponse, compute)

    async def _store(self, cleaned: Cleaned) -> clean_pb2.CleanBookResponse:
        report = cleaned.report
        data = canonical_json(report.to_json())
        prose = await asyncio.to_thread(self.store.put_bytes, "books/clean", cleaned.text.encode())
        details = await asyncio.to_thread(self.store.put_bytes, "reports", data, ".json")
        return clean_pb2.CleanBookResponse(
            text=prose.to_proto(),
            report=details.to_proto(),
            characters_in=report.characters_in,
            characters_out=report.characters_out,
            removed=[object_pb2.Count(name=rule.name, value=rule.characters) for rule in report.rules],
            residue=report.residue,
            title=report.metadata.title,
            author=report.metadata.author,
            language=report.metadata.language,
        )
