"""The same runs on this machine, with no cluster: what they give is what the cluster must give."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from services.cli.client import Client
from tests.support.chain import digests, running_chain


class Reference:
    """Runs specs through the local services, each once. Started when it is first asked."""

    def __init__(self, folder: Path, model: bytes) -> None:
        """Makes a reference.

        Args:
            folder: for its data.
            model: the base model's archive, uploaded as to the cluster.
        """
        self._folder = folder
        self._model = model
        self._stack = ExitStack()
        self._client: Client | None = None
        self._known: dict[str, dict[str, dict[str, str]]] = {}

    def digests(self, spec: dict[str, Any]) -> dict[str, dict[str, str]]:
        """Gives what a spec makes here, by stage."""
        key = json.dumps(spec, sort_keys=True)
        if key not in self._known:
            self._known[key] = self._run(spec)
        return self._known[key]

    def close(self) -> None:
        """Stops the local services."""
        self._stack.close()

    def _run(self, spec: dict[str, Any]) -> dict[str, dict[str, str]]:
        if self._client is None:
            chain = self._stack.enter_context(running_chain(self._folder))
            self._client = Client(chain.stack.address)
            self._client.upload_bytes(self._model)
        run = self._client.create_run(spec)["name"].removeprefix("runs/")
        for _ in self._client.watch(run):
            pass
        summary = json.loads(self._client.file(run, "summary.json"))
        assert summary["state"] == "SUCCEEDED", json.dumps(summary)[:4000]
        return digests(summary)
