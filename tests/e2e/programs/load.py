"""Calls every service again and again until it is told to stop, and writes what came of it.

`python -m programs.load REQUESTS.json`, a list of `[address, "Service/Method", request]`. It stops when there is a file
`/tmp/stop` and it has made its 1,000 calls. Each line on standard output is JSON: the calls made so far, those that
failed, and how.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import grpc

from programs.generic import call, load_messages
from services.common import clients

CALLS = 1000
AT_ONCE = 8
SECONDS = 60.0
"""Deadline of a call, waiting for a pod that is ready included."""
PAUSE = 0.2
"""Between two calls of one worker: forty a second in all, so that 1,000 outlast some restarts."""
STOP = Path("/tmp/stop")
TOKEN = Path("/etc/bookmill/token/token")


class Load:
    """The calls, and what came of them."""

    def __init__(self, requests: list[tuple[str, str, dict[str, Any]]]) -> None:
        load_messages()
        self._requests = requests
        self._channels = {address: clients.channel(address) for address, _, _ in requests}
        self._metadata = (("authorization", f"Bearer {TOKEN.read_text().strip()}"),)
        self._begun = 0
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.slowest = 0.0

    async def run(self) -> None:
        """Makes calls until it may stop."""
        await asyncio.gather(*(self._work() for _ in range(AT_ONCE)), self._tell())

    @property
    def over(self) -> bool:
        """Whether enough calls were made and somebody said stop."""
        return STOP.exists() and self._begun >= CALLS

    async def _work(self) -> None:
        while not self.over:
            address, name, request = self._requests[self._begun % len(self._requests)]
            self._begun += 1
            began = time.monotonic()
            try:
                await call(self._channels[address], name, request, SECONDS, self._metadata)
                self.done[name] += 1
            except grpc.aio.AioRpcError as error:
                self.failed[f"{name} {error.code().name} {error.details()}"] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(PAUSE)

    async def _tell(self) -> None:
        while True:
            self._line()
            if self.over:
                return
            await asyncio.sleep(1)

    def _line(self) -> None:
        counted = {"calls": self.done.total() + self.failed.total(), "failed": self.failed.total()}
        print(json.dumps({**counted, "how": dict(self.failed), "slowest_seconds": round(self.slowest, 2)}), flush=True)


async def main(requests: list[tuple[str, str, dict[str, Any]]]) -> None:
    """Runs the load and writes a last line."""
    load = Load(requests)
    await load.run()
    load._line()


if __name__ == "__main__":
    asyncio.run(main([tuple(request) for request in json.loads(Path(sys.argv[1]).read_text())]))
