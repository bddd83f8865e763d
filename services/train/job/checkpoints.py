"""Checkpoints in the store, each a folder whose manifest is written last.

`checkpoints/<job>/step-<N>/<sha256 of the manifest>/…`: what a killed training goes on from.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from services.common.errors import BookmillError, Corrupt, NotFound
from services.common.objects import MANIFEST, Reference
from services.common.storage import Store

FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "optimizer.pt",
    "rng_state.pth",
    "scheduler.pt",
    "trainer_state.json",
)
"""What a checkpoint of transformers holds that resuming needs; cards, tokenizers and arguments beside it stay out."""

KEPT = 2
"""The newest is what a resume takes, the one before what it takes when the newest is damaged."""

_KEY = re.compile(rf"step-(\d+)/([0-9a-f]{{64}})/{re.escape(MANIFEST)}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint in the store."""

    step: int
    """Optimiser steps that were done."""
    reference: Reference
    """Of its manifest."""


class Checkpoints:
    """The checkpoints of one job."""

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._area = f"checkpoints/{job}"

    def save(self, step: int, folder: Path) -> None:
        """Stores a checkpoint, then deletes all but the newest two.

        Args:
            step: optimiser steps done.
            folder: what transformers saved; `FILES` are taken, and removed from it.

        Raises:
            FileNotFoundError: one of them is missing.
            BookmillError: as `Store.put_folder`.
        """
        for path in folder.iterdir():
            if path.name not in FILES:
                path.unlink()
        for name in FILES:
            (folder / name).stat()
        self._store.put_folder(f"{self._area}/step-{step:08d}", folder)
        for old in self.complete()[KEPT:]:
            self.delete(old)

    def complete(self) -> list[Checkpoint]:
        """Lists the checkpoints whose manifest is there, the newest first."""
        found = []
        for entry in self._store.entries(f"{self._area}/step-"):
            if match := _KEY.fullmatch(entry.key.removeprefix(f"{self._area}/")):
                found.append(Checkpoint(int(match[1]), Reference(entry.key, match[2], entry.size)))
        return sorted(found, key=lambda c: (c.step, c.reference.sha256), reverse=True)

    def newest(self, target: Path) -> Checkpoint | None:
        """Downloads the newest checkpoint that is whole.

        Each file is verified. A damaged checkpoint is deleted, so that it can be written anew, and the one before it
        is taken.

        Args:
            target: a folder that does not exist; it does afterwards if there is a checkpoint.

        Returns:
            The checkpoint, None when there is none.

        Raises:
            Unavailable: the store does not answer.
        """
        for checkpoint in self.complete():
            try:
                self._download(checkpoint, target)
            except (Corrupt, NotFound) as error:
                _log.warning("a damaged checkpoint is deleted: %s", error, extra={"step": checkpoint.step})
                self.delete(checkpoint)
                continue
            return checkpoint
        return None

    def delete(self, checkpoint: Checkpoint) -> None:
        """Deletes a checkpoint: its manifest first, so that half of one never looks like a whole one."""
        self._store.delete(checkpoint.reference.key)
        for key in list(self._store.list(checkpoint.reference.key.removesuffix(MANIFEST))):
            self._store.delete(key)

    def _download(self, checkpoint: Checkpoint, target: Path) -> None:
        folder = self._store.folder(checkpoint.reference)
        missing = set(FILES) - {file.path for file in folder}
        if missing:
            raise Corrupt("BAD_MANIFEST", f"{checkpoint.reference.key} lacks {', '.join(sorted(missing))}")
        try:
            self._store.download_folder(checkpoint.reference, target, FILES)
        except BookmillError:
            for path in target.glob("*"):
                path.unlink()
            raise
