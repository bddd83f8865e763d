"""The job's scratch folder: what is needed is there, and what is not needed any more is gone.

The disk holds two copies of the model in 16 bits at the most, whatever its size: base and merged, then merged and
GGUF, then GGUF and a quantised one.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from services.common.canonical import canonical_json
from services.common.objects import Reference
from services.evaluation.texts import held_out_tokens, start_token, token_ids
from services.export.job.config import Plan
from services.export.job.merging import read_json
from services.jobs.exits import BadConfiguration, Interrupted
from services.jobs.program import JobContext

AREA = "models"
"""Where base models, merged models and GGUF files are stored."""

HELD_OUT = ("test.parquet", "train.parquet")
"""Splits to measure on, the first that there is: of a single book nothing is held out, and parity, which compares
models on one text, can be told from any."""


class Bench:
    """Files of one export at work."""

    def __init__(self, plan: Plan, context: JobContext) -> None:
        self.store = context.store
        self.stop = context.stop
        self.threads = context.threads
        self._plan = plan
        self._context = context
        self._scratch = context.scratch

    @property
    def base(self) -> Path:
        """The base model's folder."""
        return self._folder("base", self._plan.base_model)

    @property
    def adapter(self) -> Path:
        """The adapter's folder."""
        return self._folder("adapter", self._plan.adapter)

    def merged(self, reference: Reference) -> Path:
        """The merged model's folder, once it is in the store."""
        return self._folder("merged", reference)

    def file(self, quantization: str, reference: Reference) -> Path:
        """A GGUF that is in the store."""
        path = self.path(quantization)
        if not path.exists():
            self.say(f"fetching {quantization}")
            self.store.download(reference, path)
        return path

    def path(self, name: str) -> Path:
        """Where something is made."""
        return self._scratch / (name if name in _FOLDERS else f"{name}.gguf")

    def drop(self, *names: str) -> None:
        """Removes what is not needed any more."""
        for name in names:
            path = self.path(name)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def say(self, activity: str) -> None:
        """Tells what is being done.

        Raises:
            Interrupted: the job was asked to stop.
        """
        self.report(activity, 0, 0, "")

    def report(self, activity: str, completed: int, total: int, unit: str) -> None:
        """Tells how far that is; a good moment to stop, too.

        Raises:
            Interrupted: the job was asked to stop.
        """
        self._context.report(activity, completed, total, unit)
        if self.stop.requested:
            raise Interrupted(message=f"asked to stop while {activity}; the stages that are done stay done")

    def held_out(self, record: dict[str, Any]) -> dict[str, Any]:
        """Gives the text that everything is measured on, from `make_text`'s record."""
        text: dict[str, Any] = json.loads(self.store.read(Reference.from_json(record["text"])))
        return text

    def make_text(self) -> dict[str, Any]:
        """Reads the text that everything is measured on, as ids of the base model's tokenizer.

        Returns:
            The record. It refers to an object, since ids may be a million.

        Raises:
            BadConfiguration: `NO_TEXT`: the dataset is empty, or too short to predict anything of.
        """
        self.say("reading held-out text")
        names = {file.path for file in self.store.folder(self._plan.dataset)}
        split = next((name for name in HELD_OUT if name in names), None)
        if split is None:
            raise BadConfiguration(
                "NO_TEXT", f"the dataset has none of {', '.join(HELD_OUT)}; it holds {sorted(names)}"
            )
        parquet = self._scratch / "text.parquet"
        self.store.download(self.store.file_of(self._plan.dataset, split), parquet)
        tokenizer: Any = AutoTokenizer.from_pretrained(self.base)
        tokens = held_out_tokens(parquet, tokenizer, self._plan.parity_tokens)
        parquet.unlink()
        if len(tokens) < 2:
            raise BadConfiguration("NO_TEXT", f"{split} has {len(tokens)} tokens: too few to predict any")
        longest = read_json(self.base / "config.json").get("max_position_embeddings") or self._plan.context_length
        text = tokenizer.decode(tokens, clean_up_tokenization_spaces=False)
        found = {
            "split": split.removesuffix(".parquet"),
            "tokens": tokens,
            "window": min(self._plan.context_length, longest),
            "text": text,
            "text_tokens": token_ids(text, tokenizer),
            "start": start_token(tokenizer),
            "end": tokenizer.eos_token_id,
            "end_text": tokenizer.eos_token,
        }
        area = f"checkpoints/{self._context.job}"
        return {"text": self.store.put_bytes(area, canonical_json(found), ".text").to_json()}

    def _folder(self, name: str, reference: Reference) -> Path:
        path = self.path(name)
        if not path.exists():
            self.say(f"fetching {name}")
            self.store.download_folder(reference, path)
        return path


_FOLDERS = ("base", "adapter", "merged")
