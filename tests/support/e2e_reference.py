"""The same runs on this machine, with no cluster: what they give is what the cluster must give."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.support.chain import digests, running_chain
from tests.support.e2e_runs import Gateway


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
        self._gateway: Gateway | None = None
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
        if self._gateway is None:
            chain = self._stack.enter_context(running_chain(self._folder))
            self._gateway = Gateway(chain.stack.address, token="")
            self._stack.callback(self._gateway.close)
            self._gateway.upload(self._model)
        return digests(self._gateway.finished(self._gateway.create(spec)["name"]))
