"""An export of a real small model, whose rows are no multiple of 256 and whose tokenizer llama.cpp knows."""

from pathlib import Path

import gguf
import pytest

from services.common.objects import Reference
from services.export.job.layout import read_frame
from tests.integration.export_job.conftest import Attempts
from tests.support.export_inputs import Inputs, write_adapter, write_dataset
from tests.support.tiny_model import TALE


@pytest.mark.slow
def test_smollm2_keeps_what_it_learned(smollm2: Path, attempts: Attempts, tmp_path: Path) -> None:
    inputs = Inputs(smollm2, tmp_path / "adapter", tmp_path / "dataset")
    write_adapter(inputs.base, inputs.adapter, scale=0.05)
    write_dataset(inputs.dataset, {"test": [TALE]})
    spec = inputs.spec(attempts.store)
    spec.context_length = 256
    spec.samples.tokens = 4
    result = attempts.run(spec)

    figures = {figure.subject: figure.value for figure in result.perplexities}
    assert abs(figures["adapter"] / figures["base"] - 1) > 0.01
    assert figures["merged"] == pytest.approx(figures["adapter"], rel=5e-3)
    assert figures["f16"] == pytest.approx(figures["merged"], rel=1e-3)
    assert figures["q4_k_m"] == pytest.approx(figures["f16"], rel=0.15)

    attempts.store.download(Reference.from_proto(result.files[0].file), tmp_path / "q4_k_m.gguf")
    assert read_frame(tmp_path / "q4_k_m.gguf").bits_per_weight == pytest.approx(6.165, abs=1e-3)
    fields = gguf.GGUFReader(tmp_path / "q4_k_m.gguf").fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 0
