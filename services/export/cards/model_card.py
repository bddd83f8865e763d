"""The card of a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.export.cards import markdown
from services.export.cards.books import Book, rights, table
from services.export.cards.front_matter import Value, front_matter, hub_model, languages, licence_fields

_SAMPLE_BYTES = 12_000  # of all samples: the card travels in a message of 64 KiB

_SUBJECTS = {
    "base": "base model, as it was",
    "adapter": "base model in 16 bits with the trained adapter",
    "merged": "merged model in 16 bits",
    "f16": "GGUF f16 in llama.cpp",
}


@dataclass(frozen=True, slots=True)
class GgufFile:
    """One file to run."""

    name: str
    quantization: str
    sha256: str
    size: int
    """In bytes."""
    bits_per_weight: float


@dataclass(frozen=True, slots=True)
class Measured:
    """One perplexity of the parity check."""

    subject: str
    value: float
    tokens: int
    against: str
    """The subject that it must agree with; empty where there is none."""
    bound: float
    """How far `value / other - 1` may lie from 0."""
    apart: float
    """How far it does."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the card of a model is made from."""

    repository: str
    topic: str
    base_model: str
    base_licence: str
    context_length: int
    files: Sequence[GgufFile]
    measured: Sequence[Measured]
    samples: Sequence[tuple[str, str, str]]
    """Prompt, base's and tuned model's continuation."""
    digests: Mapping[str, str]
    """SHA-256 by what it is of."""
    books: Sequence[Book]
    merged: bool
    """Whether the 16-bit model is sent too."""


def model_card(facts: ModelFacts) -> str:
    """Gives the card: README.md of the repository."""
    name = facts.repository.split("/")[-1]
    about = f" on {markdown.text(repr(facts.topic))}" if facts.topic else ""
    parts = [
        front_matter(_fields(facts)),
        f"# {markdown.text(name)}",
        f"A text-completion model: {markdown.code(facts.base_model or 'a base model')}, fine-tuned on clean prose of "
        f"{len(facts.books):,} books{about}. It goes on with the text that it is given. It is no assistant: it answers "
        "no questions and follows no instructions, and what it writes is fiction that may be false or offensive.",
        "## How to run it",
        _running(facts),
        "## How it was made",
        "Bookmill gathered and cleaned the books, cut them into chunks, trained a LoRA adapter, merged it into the "
        "16-bit base model, converted that to GGUF and quantised it. The base model was changed by this training; its "
        f"licence, {markdown.code(facts.base_licence or 'not stated')}, applies to the result too.",
        _measurements(facts),
        *_samples(facts.samples),
        "## Books",
        table(facts.books) if facts.books else "No list came with this publication.",
        "## Rights",
        rights(facts.books, "model"),
        "## Files and lineage",
        markdown.table(
            ("File", "Quantisation", "Bits a weight", "Bytes", "SHA-256"),
            (
                (
                    markdown.code(f.name),
                    markdown.code(f.quantization),
                    f"{f.bits_per_weight:.2f}",
                    f"{f.size:,}",
                    markdown.code(f.sha256),
                )
                for f in facts.files
            ),
        ),
        markdown.table(("Made from", "SHA-256"), ((w, markdown.code(d)) for w, d in facts.digests.items())),
    ]
    return "\n\n".join(parts) + "\n"


def _fields(facts: ModelFacts) -> dict[str, Value | None]:
    base = hub_model(facts.base_model)
    return {
        **licence_fields(facts.base_licence),
        "base_model": base,
        "base_model_relation": "finetune" if base else None,
        "language": languages([book.language or "en" for book in facts.books] or ["en"]),
        "library_name": "transformers" if facts.merged else "gguf",
        "pipeline_tag": "text-generation",
        "tags": ["bookmill", "gguf", "llama.cpp", "ollama", "text-completion", "lora"],
    }


def _running(facts: ModelFacts) -> str:
    file = facts.files[0].name
    name = facts.repository.split("/")[-1].lower()
    ollama = (
        f"hf download {facts.repository} Modelfile {file} --local-dir {name}\n"
        f"cd {name}\nollama create {name} -f Modelfile\nollama run {name} 'It was a dark and stormy night'"
    )
    llama = f"llama-completion -m {file} -no-cnv -c {facts.context_length} -n 200 -p 'It was a dark and stormy night'"
    parts = [
        "With [Ollama](https://ollama.com): the Modelfile passes the prompt on as it is, without a chat template.",
        markdown.block(ollama, "sh"),
        "With [llama.cpp](https://github.com/ggml-org/llama.cpp):",
        markdown.block(llama, "sh"),
        f"It was trained with a context of {facts.context_length:,} tokens.",
    ]
    if facts.merged:
        load = f'from transformers import pipeline\n\nwrite = pipeline("text-generation", "{facts.repository}")'
        parts += ["With transformers, in 16 bits:", markdown.block(load, "python")]
    return "\n\n".join(parts)


def _measurements(facts: ModelFacts) -> str:
    rows = [
        (
            _SUBJECTS.get(m.subject, f"GGUF {markdown.text(m.subject)} in llama.cpp"),
            f"{m.value:.4f}",
            f"{m.apart:.2%} from {m.against} (at most {m.bound:.2%})" if m.against else "",
        )
        for m in facts.measured
    ]
    tokens = facts.measured[0].tokens if facts.measured else 0
    return (
        f"Perplexity on {tokens:,} tokens of books that were held out of training; lower is better. A model whose "
        "figures lie further apart than the bounds is not published.\n\n"
        + markdown.table(("Model", "Perplexity", "Agreement"), rows)
    )


def _samples(samples: Sequence[tuple[str, str, str]]) -> list[str]:
    parts: list[str] = []
    size = 0
    for prompt, base, tuned in samples:
        shown = [
            f"From {markdown.text(repr(prompt), 400)}, the base model:",
            markdown.block(base),
            "and this model, with the same seed:",
            markdown.block(tuned),
        ]
        size += sum(len(part.encode()) for part in shown)
        if size > _SAMPLE_BYTES:
            break
        parts += shown
    return ["## Samples", *parts] if parts else []
