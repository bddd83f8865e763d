"""A program in a pod that ends as its request says. Stands alone: the image that holds it has Python and no more.

The behaviour is `hyperparameters.precision`:
`exit N`           ends with a code
`told N REASON`    says why it ends, as `services.jobs.telling` does
`until T`          exits 75 before the time T (Unix seconds), and 0 after
`hold S`           works until SIGTERM, then saves for S seconds, and exits 75
`memory`           takes more memory than it may
`files`            0 when its files are as a program needs them
"""

import json
import os
import signal
import sys
import time
from pathlib import Path


def main() -> int:
    request = json.loads(Path(sys.argv[1]).read_text())
    word, *arguments = request["hyperparameters"]["precision"].split()
    print(json.dumps({"message": f"begins to {word}", "name": os.environ["BOOKMILL_JOB_NAME"]}), flush=True)
    if word == "exit":
        return int(arguments[0])
    if word == "told":
        told = {"reason": arguments[1], "message": "as the program says"}
        Path(os.environ["BOOKMILL_JOB_END_FILE"]).write_text(json.dumps(told))
        return int(arguments[0])
    if word == "until":
        return 75 if time.time() < float(arguments[0]) else 0
    if word == "hold":
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.pause()
        time.sleep(float(arguments[0]))
        return 75
    if word == "memory":
        return len(bytearray(1 << 30)) and 1
    assert word == "files"
    for name in ("ACCESS", "SECRET"):
        assert Path(os.environ[f"BOOKMILL_STORE_{name}_KEY_FILE"]).read_text()
        assert f"BOOKMILL_STORE_{name}_KEY" not in os.environ
    for folder in (os.environ["BOOKMILL_JOB_SCRATCH"], "/tmp", "/dev/shm"):
        Path(folder, "x").write_text("x")
    assert not Path("/var/run/secrets/kubernetes.io").exists()
    try:
        Path("/x").write_text("x")
    except OSError:
        return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
