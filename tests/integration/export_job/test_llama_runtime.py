"""llama.cpp, asked in a process of its own, also of files that it aborts on."""

import math
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.common.objects import Reference
from services.export.job.checks import llama_process
from services.export.job.checks.llama_runtime import examine
from services.export.job.layout import read_frame
from services.jobs.exits import BadConfiguration, Interrupted
from services.jobs.signals import StopFlag
from tests.integration.export_job.conftest import Finished
from tests.support.tiny_model import TALE


@pytest.fixture(scope="module")
def made(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for file in finished.result.files:
        finished.attempts.store.download(Reference.from_proto(file.file), folder / f"{file.quantization}.gguf")
    finished.attempts.store.download_folder(Reference.from_proto(finished.result.merged), folder / "merged")
    return folder


def test_perplexity_and_ids_are_those_of_transformers(made: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(made / "merged")
    model = AutoModelForCausalLM.from_pretrained(made / "merged", dtype=torch.float32)
    # 400 tokens and more than a batch of llama_process, so that a window is more than one call.
    window = (tokenizer(TALE)["input_ids"] * 2)[:400]
    assert len(window) > llama_process.BATCH
    with torch.no_grad():
        wanted = math.exp(float(model(torch.tensor([window]), labels=torch.tensor([window])).loss))
    texts = [TALE, "<|endoftext|>Naïve café — 123\n\n\n  🚀"]
    seen = examine(made / "f16.gguf", [window], texts)
    assert seen.perplexity == pytest.approx(wanted, rel=1e-3)
    assert seen.predicted == 399
    assert [list(ids) for ids in seen.tokens] == [tokenizer(text)["input_ids"] for text in texts]
    assert (seen.end, seen.vocabulary) == (tokenizer.eos_token_id, len(tokenizer))
    assert (seen.adds_bos, seen.adds_eos) == (False, False)


def test_windows_do_not_see_each_other(made: Path) -> None:
    window = AutoTokenizer.from_pretrained(made / "merged")(TALE)["input_ids"][:50]
    once, twice = examine(made / "q8_0.gguf", [window]), examine(made / "q8_0.gguf", [window, window])
    assert twice.perplexity == pytest.approx(once.perplexity, rel=1e-9)
    assert (once.predicted, twice.predicted) == (49, 98)


def test_one_damaged_tensor_shows(made: Path, tmp_path: Path) -> None:
    window = AutoTokenizer.from_pretrained(made / "merged")(TALE)["input_ids"][:200]
    tensor = next(t for t in read_frame(made / "f16.gguf").tensors if t.name == "blk.1.attn_q.weight")
    data = bytearray((made / "f16.gguf").read_bytes())
    half = tensor.size // 2
    first, second = data[tensor.start : tensor.start + half], data[tensor.start + half : tensor.start + tensor.size]
    data[tensor.start : tensor.start + tensor.size] = second + first
    (tmp_path / "damaged.gguf").write_bytes(data)
    good, bad = examine(made / "f16.gguf", [window]), examine(tmp_path / "damaged.gguf", [window])
    assert abs(bad.perplexity / good.perplexity - 1) > 0.02


@pytest.mark.parametrize(
    ("keep", "replacement"), [(0, b""), (0, b"no GGUF at all, but text"), (2000, b""), (500_000, b"")]
)
def test_a_bad_file_is_a_failure_and_not_the_end_of_us(
    keep: int, replacement: bytes, made: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.gguf").write_bytes((made / "q8_0.gguf").read_bytes()[:keep] + replacement)
    with pytest.raises(BadConfiguration, match=r"llama\.cpp .* bad\.gguf") as failure:
        examine(tmp_path / "bad.gguf", [[1, 2, 3]])
    assert failure.value.reason == "LLAMA_FAILED"


def test_a_token_that_is_none_is_a_failure(made: Path) -> None:
    with pytest.raises(BadConfiguration) as failure:
        examine(made / "q8_0.gguf", [[1, 2, 100_000]])
    assert failure.value.reason == "LLAMA_FAILED"


def test_a_stop_ends_it_at_once(made: Path) -> None:
    stop = StopFlag()
    stop.request()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        examine(made / "q8_0.gguf", [[1, 2, 3]], stop=stop)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("VERSION", "2020.1.1", "needs '2020.1.1'"),
        ("PACKAGE", "xllamacpp-of-nobody", "xllamacpp-of-nobody is None"),
        ("CONTEXT_HEAD", (512, 2048, 512, 2), "not this llama.cpp"),
    ],
)
def test_another_library_is_refused(name: str, value: object, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_process, name, value)
    with pytest.raises(RuntimeError, match=message):
        llama_process.load_library()
