"""The other side of `llama_runtime`: a process that loads one GGUF with llama.cpp and measures it.

The request holds the file, windows of token ids, texts, threads, and where to write the answer (JSON). llama.cpp has
no Python interface that gives the logits of a prompt, but the package `xllamacpp` is llama.cpp in one shared object
that exports its C interface, called here through ctypes.

The parameter structs of that interface grow from version to version. So the version is pinned, structs travel as
opaque blocks from `llama_*_default_params` back to the library, and only the head of one, four numbers whose
defaults are checked first, is ever touched.
"""

import ctypes
import importlib.metadata
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from services.export.job.children import read_request

PACKAGE = "xllamacpp"
VERSION = "2026.10.11549"
"""The release whose C interface the declarations below are checked against."""

CONTEXT_HEAD = (512, 2048, 512, 1)
"""`llama_context_default_params()`: n_ctx, n_batch, n_ubatch, n_seq_max, as llama.h documents them."""

BATCH = 256
"""Tokens a call of `llama_decode`: it holds this many rows of logits, 0.5 GB less than a window's."""

NOT_LOADED = 3
"""Exit code when the file cannot be loaded."""

WRONG_LIBRARY = 4
"""Exit code when the shared object is another version, or its structs do not begin as expected."""


class _Params(ctypes.Structure):
    """A parameter struct that is passed on unread: larger than any, by value, as C does with large structs."""

    _fields_ = [("block", ctypes.c_uint32 * 256)]


class _Batch(ctypes.Structure):
    """`llama_batch` of llama.h."""

    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.c_void_p),
        ("n_seq_id", ctypes.c_void_p),
        ("seq_id", ctypes.c_void_p),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


def main() -> int:
    """Answer one request; the exit code says what went wrong, standard error the details."""
    request = read_request()
    try:
        library = load_library()
    except RuntimeError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return WRONG_LIBRARY
    library.llama_backend_init()
    model = library.llama_model_load_from_file(str(request["model"]).encode(), library.llama_model_default_params())
    if not model:
        return NOT_LOADED
    vocabulary = library.llama_model_get_vocab(model)
    answer = {
        "adds_bos": library.llama_vocab_get_add_bos(vocabulary),
        "adds_eos": library.llama_vocab_get_add_eos(vocabulary),
        "end": library.llama_vocab_eos(vocabulary),
        "vocabulary": library.llama_vocab_n_tokens(vocabulary),
        "tokens": [_tokenize(library, vocabulary, text) for text in request["texts"]],
        "losses": _losses(library, model, request["windows"], request["threads"]),
    }
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def load_library() -> Any:
    """Load llama.cpp and declare what is used of it.

    Raises:
        RuntimeError: it is not installed, is another release, or a struct does not begin as expected.
    """
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        version = None
    if version != VERSION:
        raise RuntimeError(f"{PACKAGE} is {version!r}; the check of finished models needs {VERSION!r}: install that")
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(str(spec.origin)).parent if spec else Path()
    objects = sorted(folder.glob("xllamacpp*.so"))
    if not objects:
        raise RuntimeError(f"{PACKAGE} {version} has no shared object")
    library = ctypes.CDLL(str(objects[0]))
    _declare(library)
    head = tuple(library.llama_context_default_params().block[:4])
    if head != CONTEXT_HEAD:
        raise RuntimeError(f"llama_context_params begins {head!r}, expected {CONTEXT_HEAD!r}: not this llama.cpp")
    return library


def _declare(library: Any) -> None:
    pointer, number, flag = ctypes.c_void_p, ctypes.c_int32, ctypes.c_bool
    for name, result, arguments in (
        ("llama_backend_init", None, []),
        ("llama_model_default_params", _Params, []),
        ("llama_context_default_params", _Params, []),
        ("llama_model_load_from_file", pointer, [ctypes.c_char_p, _Params]),
        ("llama_model_get_vocab", pointer, [pointer]),
        ("llama_vocab_n_tokens", number, [pointer]),
        ("llama_vocab_get_add_bos", flag, [pointer]),
        ("llama_vocab_get_add_eos", flag, [pointer]),
        ("llama_vocab_eos", number, [pointer]),
        ("llama_tokenize", number, [pointer, ctypes.c_char_p, number, pointer, number, flag, flag]),
        ("llama_init_from_model", pointer, [pointer, _Params]),
        ("llama_set_n_threads", None, [pointer, number, number]),
        ("llama_get_memory", pointer, [pointer]),
        ("llama_memory_clear", None, [pointer, flag]),
        ("llama_decode", number, [pointer, _Batch]),
        ("llama_get_logits", ctypes.POINTER(ctypes.c_float), [pointer]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def _tokenize(library: Any, vocabulary: int, text: str) -> list[int]:
    data = text.encode()
    room = len(data) + 8  # a token is a byte at least
    tokens = (ctypes.c_int32 * room)()
    # Nothing is added; the name of a control token in a text is that token, as with transformers.
    count = library.llama_tokenize(vocabulary, data, len(data), tokens, room, False, True)
    return list(tokens[:count])


def _losses(library: Any, model: int, windows: list[list[int]], threads: int) -> list[float]:
    """Sum, for each window, the negative log-likelihoods of its tokens but the first."""
    if not windows:
        return []
    params = library.llama_context_default_params()
    params.block[0] = max(len(window) for window in windows)
    params.block[1] = params.block[2] = BATCH
    context = library.llama_init_from_model(model, params)
    if not context:
        raise MemoryError("llama.cpp made no context")
    library.llama_set_n_threads(context, threads, threads)
    size = library.llama_vocab_n_tokens(library.llama_model_get_vocab(model))
    return [_loss(library, context, window, size) for window in windows]


def _loss(library: Any, context: int, window: list[int], size: int) -> float:
    library.llama_memory_clear(library.llama_get_memory(context), True)
    total = 0.0
    for start in range(0, len(window), BATCH):
        part = window[start : start + BATCH]
        count = len(part)
        batch = _Batch(
            n_tokens=count, token=(ctypes.c_int32 * count)(*part), logits=(ctypes.c_int8 * count)(*([1] * count))
        )
        code = library.llama_decode(context, batch)
        if code:
            raise RuntimeError(f"llama_decode gave {code}")
        rows = np.ctypeslib.as_array(library.llama_get_logits(context), (count, size))
        following = np.array(window[start + 1 : start + 1 + count])
        total += _negative_log_likelihood(rows[: len(following)], following)
    return total


def _negative_log_likelihood(rows: np.ndarray, tokens: np.ndarray) -> float:
    peak = rows.max(axis=1)
    normaliser = peak + np.log(np.exp(rows - peak[:, None]).sum(axis=1, dtype=np.float64))
    return float((normaliser - rows[np.arange(len(tokens)), tokens]).sum())


if __name__ == "__main__":
    raise SystemExit(main())
