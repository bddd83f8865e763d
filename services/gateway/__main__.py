"""The gateway's process: gRPC and REST on two ports of one address."""

import asyncio
import logging
import signal
from functools import partial

from bookmill.v1 import run_pb2_grpc
from services.common import telemetry
from services.common.opening import open_store
from services.common.server import run, serving
from services.common.settings import ServerSettings, StoreSettings, load
from services.gateway.bearer import Bearer
from services.gateway.grpc_guard import TokenInterceptor
from services.gateway.operating import Gateway
from services.gateway.peers import Peers
from services.gateway.rest.app import create_app
from services.gateway.rest.server import serving_http
from services.gateway.servicer import RunServicer
from services.gateway.settings import GatewaySettings, refuse_exposure

_log = logging.getLogger("services.gateway")


def main() -> None:
    """Serves until SIGTERM; exit code 2 when a setting is wrong."""
    telemetry.configure("gateway")
    server, store, settings = load(ServerSettings), load(StoreSettings), load(GatewaySettings)
    refuse_exposure(server.host, settings)
    run(_serve(server, store, settings))


async def _serve(server: ServerSettings, store_settings: StoreSettings, settings: GatewaySettings) -> None:
    store = await open_store(store_settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    bearer = Bearer(settings.token_file) if settings.token_file is not None else None
    async with Peers.connected(settings) as peers:
        gateway = Gateway(store, peers, settings)
        register = partial(run_pb2_grpc.add_RunServiceServicer_to_server, RunServicer(gateway))
        interceptors = (TokenInterceptor(bearer),) if bearer is not None else ()
        async with (
            serving_http(
                create_app(gateway, bearer), server.host, settings.http_port, server.drain_seconds
            ) as http_port,
            serving(server, register, ("bookmill.v1.RunService",), interceptors) as port,
        ):
            resumed = await gateway.resume()
            _log.info("serving", extra={"port": port, "http_port": http_port, "resumed": resumed})
            await stop.wait()
            _log.info("draining")
            gateway.stop_watches()
        await gateway.stop()
    _log.info("stopped")


if __name__ == "__main__":
    main()
