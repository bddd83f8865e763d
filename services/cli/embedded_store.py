"""The embedded S3 server: SeaweedFS in one process, on loopback."""

import json
import os
import secrets
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import dataclass
from pathlib import Path

from services.cli.ports import free_ports
from services.common.errors import Exhausted, Unavailable
from services.common.settings import StoreSettings
from services.common.storage import Store
from services.common.workers import die_with_parent

_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class EmbeddedStore:
    """A running S3 server."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    """The `BOOKMILL_STORE_*` settings that reach it."""

    def stop(self) -> None:
        """Ends it; what was acknowledged is on disk."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start(folder: Path, bucket: str = "bookmill", with_parent: bool = True) -> EmbeddedStore:
    """Starts the server on free ports and waits until it answers.

    Args:
        folder: where its data and its generated credentials lie; made if needed, and used again if it exists.
        bucket: made if needed.
        with_parent: ends the server when the calling process dies.

    Raises:
        Unavailable: `STORE_NOT_STARTED`, with the end of its log.
    """
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    access, secret = _credentials(folder)
    # A port may be taken between looking and starting: then it is tried on others.
    for attempt in range(3):
        ports = free_ports(10)
        process = _spawn(folder, data, ports, with_parent)
        environment = {
            "BOOKMILL_STORE_ENDPOINT": f"127.0.0.1:{ports[3]}",
            "BOOKMILL_STORE_BUCKET": bucket,
            "BOOKMILL_STORE_ACCESS_KEY_FILE": str(access),
            "BOOKMILL_STORE_SECRET_KEY_FILE": str(secret),
        }
        settings = StoreSettings(
            endpoint=environment["BOOKMILL_STORE_ENDPOINT"],
            bucket=bucket,
            access_key_file=access,
            secret_key_file=secret,
        )
        try:
            _wait(process, settings, folder / "log")
        except Unavailable:
            EmbeddedStore(process, environment).stop()
            if attempt == 2:
                raise
        else:
            return EmbeddedStore(process, environment)
    raise AssertionError("unreachable")


def _spawn(folder: Path, data: Path, ports: list[int], with_parent: bool) -> subprocess.Popen[bytes]:
    names = ("master", "volume", "filer", "s3", "admin")
    listening = [f"-{name}.port={port}" for name, port in zip(names, ports[:5], strict=True)]
    listening += [f"-{name}.port.grpc={port}" for name, port in zip(names, ports[5:], strict=True)]
    command = [
        str(Path(sysconfig.get_path("scripts")) / "weed"),
        # `mini` starts its parts in order and is ready in a second and a half; `server` leaves them to find
        # each other, which takes three to eight.
        "mini",
        f"-dir={data}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *listening,
        f"-s3.config={folder / 's3.json'}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        "-volume.preStopSeconds=0",
    ]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            start_new_session=True,  # Ctrl-C is for the one who started it, who stops it last
            preexec_fn=_follow_parent if with_parent else None,
        )


def _follow_parent() -> None:
    if sys.platform == "linux":
        die_with_parent(signal.SIGTERM)


def _credentials(folder: Path) -> tuple[Path, Path]:
    access, secret, config = folder / "access_key", folder / "secret_key", folder / "s3.json"
    if not (access.exists() and secret.exists()):
        for path in (access, secret):
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(20), encoding="utf-8")
    keys = {"accessKey": access.read_text(encoding="utf-8"), "secretKey": secret.read_text(encoding="utf-8")}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    config.touch(mode=0o600)
    config.write_text(
        json.dumps({"identities": [{"name": "bookmill", "credentials": [keys], "actions": actions}]}), encoding="utf-8"
    )
    return access, secret


def _wait(process: subprocess.Popen[bytes], settings: StoreSettings, log: Path) -> None:
    store = Store(settings)
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None:
        try:
            store.ensure_bucket()
            # The bucket may be there before the first volume is: only a write shows that writes work.
            store.put_record("runs/ready.json", True)
            store.delete("runs/ready.json")
        except (Unavailable, Exhausted):
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        else:
            return
    end = log.read_text(encoding="utf-8", errors="replace")[-1500:]
    raise Unavailable("STORE_NOT_STARTED", f"the embedded S3 server did not come up; the end of {log}:\n{end}")
