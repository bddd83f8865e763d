"""The program of an export job: `python -m services.export.job REQUEST_FILE`."""

import os

# Everything comes from the store: whatever a library would look for on a hub is an error at once.
os.environ["HF_HUB_OFFLINE"] = "1"
# Threads that wait for each other sleep. Turning in circles, which is the default, gains little on an idle machine and
# makes everything ten times as slow on one whose cores are shared, as a pod's are. Read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from bookmill.v1.export_pb2 import ExportResult, ExportSpec
from services.export.job.exporting import export
from services.export.step import EXPORT
from services.jobs.program import run

if __name__ == "__main__":
    raise SystemExit(run(EXPORT, ExportSpec, ExportResult, export))
