"""The HTTP server beside the gRPC server, in one process."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp


@contextlib.asynccontextmanager
async def serving_http(app: ASGIApp, host: str, port: int, drain_seconds: float) -> AsyncIterator[int]:
    """Serves while the context is open, and drains at its end.

    Args:
        app: what to serve.
        host: the address to bind to.
        port: 0 takes a free one.
        drain_seconds: how long requests in flight may go on at the end.

    Yields:
        The port.

    Raises:
        OSError: the port is taken.
    """
    # Bound here, so that a port that is taken is an error of ours and not an exit of uvicorn's.
    bound = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        yield int(bound.getsockname()[1])
    finally:
        server.should_exit = True
        await task


class _Server(uvicorn.Server):
    """Leaves signals to the process, which stops both servers in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield
