"""`python3 -m deploy.kind up | deploy | down`: what `make cluster`, `make deploy` and `make cluster-down` run."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from deploy.kind import cluster, release
from deploy.kind.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    """Runs one step; 1 when it failed."""
    parser = argparse.ArgumentParser("python3 -m deploy.kind", description="A cluster on this machine, with kind.")
    parser.add_argument("step", choices=("up", "deploy", "down"))
    parser.add_argument("--values", type=Path, action="append", default=[], help="over deploy/values/kind.yaml")
    options = parser.parse_args(arguments)
    settings = Settings()
    try:
        if options.step == "up":
            _timed("cluster", lambda: cluster.create(settings))
            _timed("images loaded", lambda: _load(settings))
        elif options.step == "deploy":
            _timed("installed and ready", lambda: release.install(settings, options.values))
            _tell(settings)
        else:
            _timed("removed", lambda: cluster.delete(settings))
    except (cluster.Failed, OSError) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


def _load(settings: Settings) -> None:
    if cluster.load(settings) and release.exists(settings):
        release.restart(settings)


def _timed(what: str, do: Callable[[], None]) -> None:
    began = time.monotonic()
    do()
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


def _tell(settings: Settings) -> None:
    print(f"export BOOKMILL_SERVER=http://{release.address(settings, 30080)}")
    print(f"export BOOKMILL_TOKEN={release.token(settings)}")


if __name__ == "__main__":
    sys.exit(main())
