"""The demo's base model: bytes, tokenizer and weights against llama.cpp reading the package's own GGUF."""

import hashlib
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from deploy.examples.base_model import main, packaged_gguf
from services.export.job.checks.llama_runtime import examine
from tests.support.tiny_model import TALE

TEXTS = (
    TALE,
    "Naïve café — “quotes” 1234567 and 3.14\t\t\n\n\n   indented  \n🚀 нещо на Български 東京 ''''''```````",
    "I've been 'told he's there, 'RE you sure? We'Ve a'lL\u00a0no-break\r\n0 00 000 x1y22z333",
    "<|endoftext|>Chapter I.<|im_end|>\n\n",
)


def test_ids_are_those_of_llama_cpp_on_the_original(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    texts = [*TEXTS, *_random_texts(200)]
    expected = examine(packaged_gguf(), [], texts).tokens
    assert [tuple(tokenizer(text)["input_ids"]) for text in texts] == list(expected)


def test_text_survives_the_tokenizer(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_perplexity_is_that_of_llama_cpp_on_the_original(smollm2: Path) -> None:
    ids = AutoTokenizer.from_pretrained(smollm2)(TALE)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    with torch.no_grad():
        loss = model(torch.tensor([ids]), labels=torch.tensor([ids])).loss
    # Q4_1 in llama.cpp rounds activations to 8 bits too, hence the 2 %.
    assert float(loss.exp()) == pytest.approx(examine(packaged_gguf(), [ids]).perplexity, rel=0.02)


def test_completes_texts_and_does_not_chat(smollm2: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    assert tokenizer.chat_template is None
    assert tokenizer.eos_token == "<|endoftext|>"
    assert model.dtype == torch.bfloat16
    assert model.generation_config.eos_token_id == model.config.eos_token_id == tokenizer.eos_token_id


def test_equal_bytes_twice_and_nothing_left_beside(smollm2: Path, tmp_path: Path) -> None:
    assert main(["--output", str(tmp_path / "again")]) == 0
    assert _digests(tmp_path / "again") == _digests(smollm2)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_keeps_a_finished_folder(smollm2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (smollm2 / "model.safetensors").stat().st_mtime_ns
    assert main(["--output", str(smollm2)]) == 0
    assert (smollm2 / "model.safetensors").stat().st_mtime_ns == before
    assert "there already" in capsys.readouterr().out


def _random_texts(count: int) -> list[str]:
    # No control characters but these: SmolLM2 has no token for some of them, and each runtime then drops the
    # byte at another moment.
    generator = random.Random(3407)
    alphabet = [*map(chr, range(32, 127)), *"\n\t  \n", *map(chr, range(0xA0, 0x2FF)), *map(chr, range(0x400, 0x460))]
    return ["".join(generator.choices(alphabet, k=60)) for _ in range(count)]


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
