"""Report: the summary, the page, and the list of files that the user came for."""

import asyncio

from bookmill.v1 import object_pb2
from services.gateway.context import Context
from services.gateway.report.reporting import write_report
from services.gateway.results import Report, State


async def report(context: Context, state: State) -> Report:
    """Writes the summary of a run whose every other stage succeeded."""
    context.meter.begin("writing the report")
    run = context.board.snapshot()
    run.state = object_pb2.STATE_SUCCEEDED
    # The summary tells of every stage, and this one is over when it is written.
    last = run.stages[-1]
    last.state = object_pb2.STATE_SUCCEEDED
    last.ClearField("progress")
    return await asyncio.to_thread(write_report, context.store, run, state)
