"""Reads from the store what an estimate needs: headers and a sample, never the whole.

What is read in parts cannot be verified by its SHA-256; the training, which reads it whole, does that.
"""

import io
import json
import math
import re
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from services.common.errors import InvalidInput
from services.common.objects import MANIFEST, Folder, Reference
from services.common.storage import Store
from services.train.estimating import DataFacts, ModelFacts

TRAINING_SPLIT = "train.parquet"

_HEADER_LIMIT = 32 << 20  # bytes of a safetensors header; those of the largest models have a few
_SMALL_LIMIT = 64 << 20  # bytes of a tokenizer or a configuration
_SAMPLE_ROWS = 16
_SAMPLE_GROUPS = 4  # parts of the split that the sample is from, since they are different books
_BUFFER = 1 << 20
# The linear layers inside of blocks, as every Llama-like model names them. Embeddings and output head get no adapter.
_ADAPTED = re.compile(r".*\blayers\.\d+\..*\.weight")


def read_model(store: Store, reference: Reference) -> ModelFacts:
    """Describes a base model.

    Args:
        store: where it is.
        reference: of its manifest.

    Raises:
        InvalidInput: `BAD_REFERENCE`: the folder is no base model.
    """
    folder = store.folder(reference)
    weights = [file for file in folder if file.path.endswith(".safetensors")]
    if not weights:
        raise _bad("base_model", "it holds no safetensors")
    shapes: dict[str, list[int]] = {}
    for file in weights:
        shapes |= _shapes(store, f"{reference.key.removesuffix(MANIFEST)}{file.path}", file.size)
    config = _json(store, reference, folder, "config.json")
    config = config.get("text_config", config)
    adapted = [shape for name, shape in shapes.items() if len(shape) == 2 and _ADAPTED.fullmatch(name)]
    return ModelFacts(
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        adapted=tuple((outputs, inputs) for outputs, inputs in adapted),
        width=_number(config, "hidden_size"),
        layers=_number(config, "num_hidden_layers"),
        vocabulary=_number(config, "vocab_size"),
        size=sum(file.size for file in folder),
    )


def read_data(store: Store, dataset: Reference, model: Reference) -> DataFacts:
    """Describes a dataset's training split in the tokens of a base model.

    Args:
        store: where they are.
        dataset: of the dataset's manifest.
        model: of the base model's manifest.

    Raises:
        InvalidInput: `BAD_REFERENCE`: one of them is not what it should be.
    """
    folder = store.folder(dataset)
    if TRAINING_SPLIT not in {file.path for file in folder}:
        raise _bad("dataset", f"it holds no {TRAINING_SPLIT}")
    split = store.file_of(dataset, TRAINING_SPLIT)
    tokenizer = _tokenizer(store, model)
    try:
        with pq.ParquetFile(io.BufferedReader(StoredFile(store, split), _BUFFER)) as file:
            sample = _sample(file)
            text_bytes = _text_bytes(file.metadata, sample)
    except (pa.ArrowInvalid, KeyError) as error:
        raise _bad("dataset", f"its {TRAINING_SPLIT} is no parquet file with a column 'text'") from error
    tokens = sum(len(encoding.ids) for encoding in tokenizer.encode_batch(sample, add_special_tokens=False))
    return DataFacts(text_bytes, sum(len(text.encode()) for text in sample), tokens)


class StoredFile(io.RawIOBase):
    """An object of the store as a file that is read in ranges."""

    def __init__(self, store: Store, reference: Reference) -> None:
        super().__init__()
        self._store = store
        self._reference = reference
        self._at = 0

    def readable(self) -> bool:
        """Says that it can be read."""
        return True

    def seekable(self) -> bool:
        """Says that it can be read from anywhere."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._reference.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Reads from here on."""
        length = min(len(buffer), self._reference.size - self._at)
        if length <= 0:
            return 0
        data = b"".join(self._store.stream(self._reference.key, self._at, length))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _shapes(store: Store, key: str, size: int) -> dict[str, list[int]]:
    """Reads a safetensors header: its length in 8 bytes, then JSON (safetensors' format description)."""
    length = int.from_bytes(b"".join(store.stream(key, 0, 8)), "little") if size > 8 else 0
    if not 2 <= length <= min(_HEADER_LIMIT, size - 8):
        raise _bad("base_model", f"{key} has no safetensors header")
    try:
        header = json.loads(b"".join(store.stream(key, 8, length)))
        return {name: list(map(int, tensor["shape"])) for name, tensor in header.items() if name != "__metadata__"}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _bad("base_model", f"{key} has no safetensors header") from error


def _json(store: Store, reference: Reference, folder: Folder, name: str) -> dict[str, Any]:
    if name not in {file.path for file in folder}:
        return {}
    try:
        value = json.loads(store.read(store.file_of(reference, name), _SMALL_LIMIT))
    except ValueError as error:
        raise _bad("base_model", f"its {name} is no JSON") from error
    return value if isinstance(value, dict) else {}


def _number(config: dict[str, Any], name: str) -> int:
    value = config.get(name, 0)
    return value if isinstance(value, int) else 0


def _tokenizer(store: Store, model: Reference) -> Tokenizer:
    if "tokenizer.json" not in {file.path for file in store.folder(model)}:
        raise _bad("base_model", "it holds no tokenizer.json")
    data = store.read(store.file_of(model, "tokenizer.json"), _SMALL_LIMIT)
    try:
        return Tokenizer.from_str(data.decode())
    except Exception as error:  # tokenizers raises nothing finer
        raise _bad("base_model", "its tokenizer.json cannot be read") from error


def _text_bytes(metadata: Any, sample: list[str]) -> int:
    """Sums the sizes of the texts: plain values, each behind its length in 4 bytes.

    A column in a dictionary holds equal texts once, which tells nothing of the rows: those are as long as the sample's.
    """
    column = next((i for i in range(metadata.num_columns) if metadata.schema.column(i).path == "text"), None)
    if column is None:
        raise KeyError("text")
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if group.column(column).has_dictionary_page:
            return int(metadata.num_rows) * sum(len(text.encode()) for text in sample) // max(1, len(sample))
        total += group.column(column).total_uncompressed_size - 4 * group.num_rows
    return max(0, total)


def _sample(file: pq.ParquetFile) -> list[str]:
    """Takes rows from places spread over the file."""
    groups = file.metadata.num_row_groups
    texts: list[str] = []
    for group in sorted({groups * i // _SAMPLE_GROUPS for i in range(_SAMPLE_GROUPS)} if groups else ()):
        batch = next(file.iter_batches(_SAMPLE_ROWS, row_groups=[group], columns=["text"]), None)
        texts += [text for text in batch.column("text").to_pylist() if text] if batch is not None else []
    return texts


def _bad(field: str, what: str) -> InvalidInput:
    return InvalidInput("BAD_REFERENCE", f"{field} is not what it should be: {what}", field=field)
