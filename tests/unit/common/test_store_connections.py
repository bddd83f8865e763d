"""A connection that leads to no S3 server is not used again: a store that starts is found as soon as it is ready."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from pydantic import SecretStr

from services.common.errors import Unavailable
from services.common.settings import StoreSettings
from services.common.storage import Store


class _Starting(BaseHTTPRequestHandler):
    """Whoever connects first is told for ever that there is no bucket, and no way to make one."""

    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self) -> None:
        super().setup()
        type(self).connections += 1
        self.is_first = type(self).connections == 1

    def do_HEAD(self) -> None:
        self.send_response(404 if self.is_first else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        self.send_response(499)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "11")
        self.end_headers()
        self.wfile.write(b"starting up")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Store]:
    _Starting.connections = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Starting) as server:
        server.daemon_threads = True
        serving = Thread(target=server.serve_forever)
        serving.start()
        settings = StoreSettings(
            endpoint=f"127.0.0.1:{server.server_port}",
            bucket="bookmill",
            access_key=SecretStr("bookmill"),
            secret_key=SecretStr("bookmill-secret"),
            secure=False,
        )
        store = Store(settings)
        yield store
        store._http.clear()
        server.shutdown()
        serving.join()


def test_the_next_try_is_on_another_connection(store: Store) -> None:
    with pytest.raises(Unavailable, match=r"499.*starting up") as error:
        store.ensure_bucket()
    assert error.value.reason == "STORE_UNAVAILABLE"
    store.ensure_bucket()
    assert _Starting.connections == 2
