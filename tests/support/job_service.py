"""The train or the export service as a process, to be called, killed and started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.cli.ports import free_ports
from services.common import clients


class JobService:
    """A service on a port that stays the same. Ends with the test by `kill`."""

    def __init__(self, module: str, environment: dict[str, str], log: Path) -> None:
        (self.port,) = free_ports(1)
        self.log = log
        self._module = module
        self._environment = {
            **environment,
            "BOOKMILL_PORT": str(self.port),
            "BOOKMILL_DRAIN_SECONDS": "0.5",
            "BOOKMILL_NOT_SERVING_SECONDS": "0",
        }
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module], env=self._environment, stdout=file, stderr=file
            )

    def kill(self) -> None:
        """Ends it as a power cut would; its jobs live on."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """Stops it as an operator would; its jobs are gone when this returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    async def call(self, stub_type: Any, method: str, request: Any, response_type: Any) -> Any:
        """Makes one call; a service that is still starting is waited for."""
        async with clients.channel(f"127.0.0.1:{self.port}") as channel:
            await channel.channel_ready()
            response, _ = await clients.call(getattr(stub_type(channel), method), request, response_type, 30.0)
        return response

    async def watch(
        self, stub_type: Any, method: str, request: Any, response_type: Any, seen: list[Any] | None = None
    ) -> list[Any]:
        """Makes one call that streams, to its end; `seen` grows meanwhile."""
        seen = [] if seen is None else seen
        async with clients.channel(f"127.0.0.1:{self.port}") as channel:
            await channel.channel_ready()
            stream = clients.stream(getattr(stub_type(channel), method), request, response_type, 120.0)
            async for response in stream:
                seen.append(response)
        return seen


def kill_jobs(pids: list[int]) -> None:
    """Ends what a failed test left."""
    for pid in pids:
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
