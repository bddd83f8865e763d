"""Tries TCP connections from where it runs, and writes as JSON which were made: `probe.py NAME=HOST:PORT …`."""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

SECONDS = 2.0
"""A connection inside a cluster is made in milliseconds; what is cut off never answers."""


def connects(target: str) -> bool:
    """Says whether a connection to `host:port` is made."""
    host, _, port = target.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), SECONDS):
            return True
    except OSError:
        return False


def resolves() -> bool:
    """Says whether names are looked up: that of the API server is in every cluster."""
    try:
        return bool(socket.getaddrinfo("kubernetes.default.svc.cluster.local", 443))
    except OSError:
        return False


def main() -> None:
    """Tries all at once."""
    targets = dict(argument.split("=", 1) for argument in sys.argv[1:])
    with ThreadPoolExecutor(32) as pool:
        made = dict(zip(targets, pool.map(connects, targets.values()), strict=True))
    print(json.dumps({**made, "dns": resolves()}))


if __name__ == "__main__":
    main()
