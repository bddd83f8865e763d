"""Names of pre-tokenizers that llama.cpp's converter cannot tell by itself."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from services.export.job.pretokenizers import known_as

BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False)
DIGITS = pre_tokenizers.Digits(individual_digits=True)


def tokenizer(pre_tokenizer: object, model: object = None, normalizer: object = None) -> str:
    made = Tokenizer(model or models.BPE())
    made.pre_tokenizer = pre_tokenizer
    if normalizer:
        made.normalizer = normalizer
    return str(made.to_str())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (tokenizer(BYTES), "gpt-2"),
        (tokenizer(pre_tokenizers.Sequence([BYTES])), "gpt-2"),
        (tokenizer(pre_tokenizers.Sequence([DIGITS, BYTES])), "smollm"),
        (tokenizer(pre_tokenizers.Sequence([BYTES, DIGITS])), None),
        (tokenizer(pre_tokenizers.Sequence([pre_tokenizers.Digits(), BYTES])), None),
        (tokenizer(pre_tokenizers.ByteLevel(add_prefix_space=True)), None),
        (tokenizer(pre_tokenizers.Whitespace()), None),
        (tokenizer(BYTES, models.WordLevel({"a": 0}, "a")), None),
        (tokenizer(BYTES, normalizer=normalizers.NFC()), None),
    ],
)
def test_names(text: str, expected: str | None) -> None:
    assert known_as(text) == expected
