"""Checks what a run is asked to make, all of it, before anything starts, and fills defaults in. Pure."""

import re
import unicodedata

from bookmill.v1 import run_pb2
from services.common.errors import InvalidInput
from services.gateway.limits import OPTIONS, Limit
from services.gateway.uris import check_book_uri, check_model_uri

MAX_SPEC_BYTES = 24 << 10
"""A run's view holds its spec, and no message is larger than 64 KiB."""

_LANGUAGE = re.compile(r"[a-z]{2,3}")  # ISO 639-1, and 639-3 where a language has no other
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_QUANTIZATION = re.compile(r"[a-z0-9][a-z0-9_]{0,31}")  # a name's shape; which there are, export knows
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
_OLLAMA_NAME = re.compile(r"([\w.-]+/)?[\w.-]+(:[\w.-]+)?", re.ASCII)
_PRECISIONS = ("auto", "4bit", "16bit")
_MAX_PROMPTS = 8


def checked(spec: run_pb2.RunSpec) -> run_pb2.RunSpec:
    """Checks a spec.

    Returns:
        A copy with defaults filled in; those of hyper-parameters, samples and bounds are the services'.

    Raises:
        InvalidInput: `NO_BOOKS_NAMED`, `BAD_URI`, `BAD_LIMIT`, `BAD_FRACTION`, `BAD_HYPERPARAMETER`,
            `BAD_QUANTISATION`, `BAD_LANGUAGE`, `BAD_MODEL_NAME`, `BAD_OPTION`, `BAD_REPOSITORY`, `BAD_NAME`,
            `SPEC_TOO_LARGE`; the metadata names the `field` and, where there are some, the `choices`.
    """
    full = run_pb2.RunSpec()
    full.CopyFrom(spec)
    _fill(full)
    _check_books(full)
    check_model_uri(full.base_model, "base_model")
    for limit in OPTIONS:
        _check_limit(full, limit)
    _check_names(full)
    if full.ByteSize() > MAX_SPEC_BYTES:
        raise InvalidInput(
            "SPEC_TOO_LARGE",
            f"the spec has {full.ByteSize():,} bytes; {MAX_SPEC_BYTES:,} at most: upload the books as a book_list",
            field="books",
        )
    return full


def _fill(spec: run_pb2.RunSpec) -> None:
    spec.topic = " ".join(spec.topic.split())
    spec.max_books = (spec.max_books or 20) if spec.topic else 0
    if spec.topic and not spec.languages:
        spec.languages.append("en")
    spec.max_characters = spec.max_characters or 7000
    spec.held_out_fraction = spec.held_out_fraction or 0.1
    spec.parity_tokens = spec.parity_tokens or 2048
    if not spec.quantizations:
        spec.quantizations.append("q4_k_m")
    if not spec.model_name:
        spec.model_name = _slug(spec.topic) or "model"
    publish = spec.publish
    if not (publish.dataset_repository or publish.model_repository or publish.ollama_model):
        spec.ClearField("publish")


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:48].strip("-")


def _check_books(spec: run_pb2.RunSpec) -> None:
    if not spec.topic and not spec.books and not spec.HasField("book_list"):
        raise InvalidInput(
            "NO_BOOKS_NAMED", "name a topic to search for, or books by URI, or a book_list", field="topic"
        )
    if len(spec.topic) > 200 or any(unicodedata.category(c) == "Cc" for c in spec.topic):
        raise InvalidInput(
            "BAD_TOPIC", f"topic {spec.topic[:80]!r} is no subject of at most 200 letters", field="topic"
        )
    for language in spec.languages:
        if not _LANGUAGE.fullmatch(language):
            raise InvalidInput(
                "BAD_LANGUAGE", f"languages {language[:20]!r} is no ISO 639-1 code such as 'en'", field="languages"
            )
    for number, book in enumerate(spec.books):
        check_book_uri(book.uri, f"books[{number}].uri")


def _check_limit(spec: run_pb2.RunSpec, limit: Limit) -> None:
    value = limit.value(spec)
    # Written so that NaN fails too.
    if value in limit.besides or limit.lowest <= value <= limit.highest:
        return
    raise InvalidInput(
        limit.reason,
        f"{limit.field} {value!r} is not from {limit.lowest:,} to {limit.highest:,}{limit.note}",
        field=limit.field,
        choices=f"{limit.lowest} to {limit.highest}",
    )


def _check_names(spec: run_pb2.RunSpec) -> None:
    names = list(dict.fromkeys(spec.quantizations))
    spec.quantizations[:] = names
    for name in names:
        _check_pattern(_QUANTIZATION, name, "BAD_QUANTISATION", "quantizations", "a name such as 'q4_k_m'")
    _check_pattern(
        _MODEL_NAME, spec.model_name, "BAD_MODEL_NAME", "model_name", "at most 64 letters, digits, '.', '_' and '-'"
    )
    precision = spec.hyperparameters.precision
    if precision and precision not in _PRECISIONS:
        choices = ", ".join(_PRECISIONS)
        raise InvalidInput(
            "BAD_HYPERPARAMETER",
            f"hyperparameters.precision {precision[:40]!r} is none of {choices}",
            field="hyperparameters.precision",
            choices=choices,
        )
    prompts = spec.samples.prompts
    if len(prompts) > _MAX_PROMPTS or any(not 1 <= len(prompt) <= 1000 for prompt in prompts):
        raise InvalidInput(
            "BAD_OPTION",
            f"samples.prompts: at most {_MAX_PROMPTS} prompts, each of 1 to 1,000 characters",
            field="samples.prompts",
        )
    publish = spec.publish
    for field in ("dataset_repository", "model_repository"):
        if repository := getattr(publish, field):
            _check_pattern(_REPOSITORY, repository, "BAD_REPOSITORY", f"publish.{field}", "OWNER/NAME")
    if publish.ollama_model:
        _check_pattern(_OLLAMA_NAME, publish.ollama_model, "BAD_NAME", "publish.ollama_model", "NAME or OWNER/NAME:TAG")


def _check_pattern(pattern: re.Pattern[str], value: str, reason: str, field: str, form: str) -> None:
    if not pattern.fullmatch(value):
        raise InvalidInput(reason, f"{field} {value[:100]!r} is not {form}", field=field)
