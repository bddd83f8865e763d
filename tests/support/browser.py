"""A browser without a window, spoken to over two pipes (the Chrome DevTools Protocol)."""

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")


class Page:
    """One page of a browser."""

    def __init__(self, reader: asyncio.StreamReader, pipe: int) -> None:
        self._reader, self._pipe = reader, pipe
        self._number = 0
        self._session = ""

    async def open(self, downloads: Path) -> None:
        target = (await self.send("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        await self.send("Page.enable")
        await self.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))

    async def go(self, url: str) -> None:
        await self.send("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """Evaluates JavaScript in the page, and waits for it if it is a promise."""
        answer = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str, seconds: float = 30.0) -> Any:
        """Polls until JavaScript gives something true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # While one document gives way to the next there is none to ask, or not all of it.
            with contextlib.suppress(AssertionError):
                if value := await self.value(expression):
                    return value
            await asyncio.sleep(0.05)
        raise AssertionError(f"{expression} stayed false; the page: {await self.text()}")

    async def shows(self, text: str) -> None:
        """Waits until the page shows a text."""
        await self.until(f"(document.body?.innerText ?? '').includes({json.dumps(text)})")

    async def text(self) -> str:
        return str(await self.value("document.documentElement.innerText"))

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._pipe, json.dumps(message).encode() + b"\0")
        while True:
            answer = json.loads((await self._reader.readuntil(b"\0"))[:-1])
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])


@contextlib.asynccontextmanager
async def page(folder: Path) -> AsyncIterator[Page]:
    """A page of a fresh browser, which saves downloads in `folder / "downloads"`; skips where there is no browser."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser here ({', '.join(_NAMES)})")
    commands_out, commands_in = os.pipe()
    answers_out, answers_in = os.pipe()
    line = f'exec "$0" "$@" 3<&{commands_out} 4>&{answers_in}'
    flags = (*_FLAGS, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe")
    with (folder / "browser.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            line,
            program,
            *flags,
            pass_fds=(commands_out, answers_in),
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
        )
    os.close(commands_out)
    os.close(answers_in)
    reader = asyncio.StreamReader(limit=64 << 20)
    answers = os.fdopen(answers_out, "rb", buffering=0)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), answers)
    opened = Page(reader, commands_in)
    try:
        await opened.open(folder / "downloads")
        yield opened
    finally:
        transport.close()
        os.close(commands_in)
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
