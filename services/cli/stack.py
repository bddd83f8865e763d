"""Every service as a process on loopback, over the embedded store: what `bookmill up` starts."""

import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.cli import embedded_store
from services.cli.ports import free_ports
from services.common.errors import AlreadyExists, Unavailable
from services.common.workers import die_with_parent

SERVICES = ("ingest", "clean", "chunk", "train", "export", "gateway")
"""In the order of starting; they are stopped in the opposite order, the store last."""

_START_SECONDS = 60.0
_PORT_TRIES = 3
_GRACE_SECONDS = 60  # for a job that is stopped: it ends its step and writes a checkpoint
_STOP_SECONDS = _GRACE_SECONDS + 15.0
_LOOK_SECONDS = 0.5
_CALM_SECONDS = 30.0  # a service that lived this long is restarted at once

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Child:
    name: str
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    started: float
    deaths: int = 0


@dataclass(slots=True)
class Stack:
    """The services and their store. A context manager: it starts all of them, and stops them at its end.

    A service that dies is started again on its port, after a pause that doubles up to 30 s.
    """

    folder: Path
    """Where everything lies: the store's data, logs, scratch space. One stack a folder."""
    http_port: int = 0
    """Of the gateway's REST; 0 takes a free one."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """More `BOOKMILL_*` settings of the services, beside those of this process's environment."""
    _address: str = ""
    _children: dict[str, _Child] = field(default_factory=dict)
    _store: embedded_store.EmbeddedStore | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None
    _lock: IO[str] | None = None

    @property
    def address(self) -> str:
        """The gateway's REST address."""
        return self._address

    @property
    def store_environment(self) -> dict[str, str]:
        """Settings that reach the store."""
        return dict(self._store.environment) if self._store else {}

    def __enter__(self) -> Self:
        self._hold_folder()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def pid(self, service: str) -> int:
        """Gives the process id of a service."""
        return self._children[service].process.pid

    def _start(self) -> None:
        self._store = embedded_store.start(self.folder / "store")
        for attempt in range(_PORT_TRIES):
            ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
            try:
                self._start_services(self._store.environment, ports)
                break
            except Unavailable as error:
                # Another program may have taken a port between looking and starting.
                if attempt == _PORT_TRIES - 1 or "bind" not in error.message:
                    raise
                self._stop_services()
        (self.folder / "up.json").write_text(
            json.dumps({"address": self.address, "pid": os.getpid(), "services": ports}), encoding="utf-8"
        )
        self._watcher = threading.Thread(target=self._watch, name="watch-services", daemon=True)
        self._watcher.start()

    def _start_services(self, store: Mapping[str, str], ports: Mapping[str, int]) -> None:
        http_port = self.http_port or free_ports(1)[0]
        addresses = {
            f"BOOKMILL_GATEWAY_{name.upper()}": f"127.0.0.1:{port}" for name, port in ports.items() if name != "gateway"
        }
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("BOOKMILL_STORE_")}
        for name in SERVICES:
            environment = {
                **inherited,
                **store,
                **addresses,
                "BOOKMILL_GATEWAY_HTTP_PORT": str(http_port),
                # One folder for both: its locks keep a job from running twice, whichever service started it.
                "BOOKMILL_TRAIN_WORK_DIR": str(self.folder / "jobs"),
                "BOOKMILL_EXPORT_WORK_DIR": str(self.folder / "jobs"),
                "BOOKMILL_TRAIN_GRACE_SECONDS": str(_GRACE_SECONDS),
                "BOOKMILL_EXPORT_GRACE_SECONDS": str(_GRACE_SECONDS),
                "BOOKMILL_INGEST_WORK_DIR": str(self.folder / "ingest"),
                "BOOKMILL_CHUNK_WORK_DIR": str(self.folder / "chunk"),
                **self.settings,
                "BOOKMILL_HOST": "127.0.0.1",
                "BOOKMILL_PORT": str(ports[name]),
            }
            process = self._spawn(name, environment)
            self._children[name] = _Child(name, ports[name], environment, process, time.monotonic())
        for child in self._children.values():
            self._wait_until_serving(child)
        self._address = f"http://127.0.0.1:{http_port}"

    def _hold_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "logs").mkdir(exist_ok=True)
        self._lock = (self.folder / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            message = (
                f"Bookmill is up already in {str(self.folder)!r}: use that one, or name another folder with --data"
            )
            raise AlreadyExists("ALREADY_UP", message) from error

    def _spawn(self, name: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / "logs" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for the stack, which stops its services in order
                preexec_fn=_follow_parent,
            )

    def _wait_until_serving(self, child: _Child) -> None:
        until = time.monotonic() + _START_SECONDS
        with grpc.insecure_channel(f"127.0.0.1:{child.port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            while child.process.poll() is None and time.monotonic() < until:
                try:
                    answer = health.Check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True)  # type: ignore[attr-defined]
                except grpc.RpcError:
                    continue
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
        log = self.folder / "logs" / f"{child.name}.log"
        end = log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise Unavailable("SERVICE_NOT_STARTED", f"{child.name} did not come up; the end of {log}:\n{end}")

    def _watch(self) -> None:
        due: dict[str, float] = {}
        while not self._stopping.wait(_LOOK_SECONDS):
            now = time.monotonic()
            for child in self._children.values():
                if child.process.poll() is None:
                    continue
                if child.name not in due:
                    child.deaths = 1 if now - child.started > _CALM_SECONDS else child.deaths + 1
                    pause = 0.0 if child.deaths == 1 else min(30.0, 2.0 ** (child.deaths - 2))
                    due[child.name] = now + pause
                    ended = child.process.returncode
                    _log.warning("%s ended with %s; starting it again in %.0f s", child.name, ended, pause)
                if now >= due[child.name] and not self._stopping.is_set():
                    del due[child.name]
                    child.process = self._spawn(child.name, child.environment)
                    child.started = now

    def _stop(self) -> None:
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        self._stop_services()
        if self._store is not None:
            self._store.stop()
        (self.folder / "up.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    def _stop_services(self) -> None:
        # The gateway first, so that it starts no more work; then the others at once.
        for names in (("gateway",), SERVICES[:-1]):
            children = [self._children[name] for name in names if name in self._children]
            for child in children:
                if child.process.poll() is None:
                    child.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + _STOP_SECONDS
            for child in children:
                try:
                    child.process.wait(max(0.1, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    _log.warning("%s did not stop in time and is killed", child.name)
                    child.process.kill()
                    child.process.wait()


def reading(folders: Iterable[str | Path]) -> dict[str, str]:
    """Gives the setting that lets `file:` read below folders of this machine."""
    roots = sorted({str(Path(folder).resolve()) for folder in folders})
    return {"BOOKMILL_INGEST_ROOTS": ",".join(roots)} if roots else {}


def _follow_parent() -> None:
    if sys.platform == "linux":
        die_with_parent(signal.SIGTERM)
