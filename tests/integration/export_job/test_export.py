"""A whole export of a tiny model, against a real store and the real llama.cpp."""

import json
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.common.objects import Reference
from services.export.modelfiles import parse
from tests.integration.export_job.conftest import Attempts, Finished
from tests.support.export_inputs import Inputs


def test_files_lie_under_their_names_and_digests(finished: Finished, tmp_path: Path) -> None:
    files = {file.quantization: file for file in finished.result.files}
    assert list(files) == ["q4_k_m", "q8_0", "f16"]
    assert files["q4_k_m"].file_name == "tale.q4_k_m.gguf"
    bits = [file.bits_per_weight for file in files.values()]
    assert bits[0] < 5.5 < bits[1] < 9 < bits[2] < 17
    for name, file in files.items():
        assert file.file.key == f"models/{file.file.sha256}.gguf"
        finished.attempts.store.download(Reference.from_proto(file.file), tmp_path / f"{name}.gguf")


def test_perplexities_agree_from_the_adapter_to_the_smallest_file(finished: Finished) -> None:
    figures = {figure.subject: figure for figure in finished.result.perplexities}
    assert list(figures) == ["base", "adapter", "merged", "f16", "q4_k_m", "q8_0"]
    # 200 tokens in windows of 64: the first of each of the four is not predicted.
    assert {figure.tokens for figure in figures.values()} == {196}
    assert abs(figures["adapter"].value / figures["base"].value - 1) > 0.05
    assert figures["merged"].value == pytest.approx(figures["adapter"].value, rel=2e-3)
    assert figures["f16"].value == pytest.approx(figures["merged"].value, rel=2e-3)
    assert figures["q8_0"].value == pytest.approx(figures["f16"].value, rel=2e-2)
    assert figures["q4_k_m"].value != figures["f16"].value


def test_the_merged_folder_is_the_base_with_the_adapter_in_it(finished: Finished, tmp_path: Path) -> None:
    inputs = finished.inputs
    finished.attempts.store.download_folder(Reference.from_proto(finished.result.merged), tmp_path / "merged")
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    base = load_file(inputs.base / "model.safetensors")
    adapter = load_file(inputs.adapter / "adapter_model.safetensors")
    name = "model.layers.1.mlp.down_proj"
    down, up = (adapter[f"base_model.model.{name}.lora_{part}.weight"].float() for part in "AB")
    wanted = base[f"{name}.weight"].float() + 2.0 * up @ down  # alpha 8 over rank 4
    assert merged[f"{name}.weight"].dtype == torch.float16
    assert torch.allclose(merged[f"{name}.weight"].float(), wanted, rtol=2**-9, atol=1e-4)
    assert torch.equal(merged["model.norm.weight"], base["model.norm.weight"])
    assert (tmp_path / "merged" / "tokenizer.json").read_bytes() == (inputs.base / "tokenizer.json").read_bytes()
    AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    AutoTokenizer.from_pretrained(tmp_path / "merged")


def test_a_gguf_says_what_it_is_and_not_where_it_was_made(finished: Finished, tmp_path: Path) -> None:
    finished.attempts.store.download(Reference.from_proto(finished.result.files[2].file), tmp_path / "f16.gguf")
    fields = gguf.GGUFReader(tmp_path / "f16.gguf").fields
    general = {key: field.contents() for key, field in fields.items() if key.startswith("general.")}
    assert general == {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": "tale",
        "general.size_label": "1.3M",
        "general.file_type": 1,
        "general.quantization_version": 2,
    }
    assert fields["tokenizer.ggml.pre"].contents() == "gpt-2"
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert "tokenizer.chat_template" not in fields


def test_the_modelfile_is_of_the_first_quantisation(finished: Finished) -> None:
    text = finished.attempts.store.read(Reference.from_proto(finished.result.modelfile)).decode()
    assert text.startswith("FROM ./tale.q4_k_m.gguf\n")
    assert parse(text).parameters["stop"] == ["<|endoftext|>"]
    assert parse(text).parameters["num_ctx"] == 64


def test_the_report_says_the_same_as_the_result(finished: Finished) -> None:
    result = finished.result
    report = json.loads(finished.attempts.store.read(Reference.from_proto(result.report)))
    assert [(row["subject"], row["value"], row["tokens"]) for row in report["perplexities"]] == [
        (figure.subject, figure.value, figure.tokens) for figure in result.perplexities
    ]
    assert [row["subject"] for row in report["parity"]] == ["merged", "f16", "q4_k_m", "q8_0"]
    assert all(row["apart"] <= row["bound"] for row in report["parity"])
    assert report["text"] == {
        "split": "test",
        "tokens": 200,
        "window": 64,
        "begins_with_token": False,
        "tokens_compared_with_llama_cpp": 200,
    }
    assert [(s["prompt"], s["base"], s["tuned"]) for s in report["samples"]] == [
        (sample.prompt, sample.base, sample.tuned) for sample in result.samples
    ]
    assert [sample.prompt for sample in result.samples] == ["The miller", "Under the floor"]
    assert all(sample.base != sample.tuned for sample in result.samples)


def test_it_tells_how_far_it_is_and_keeps_little_on_the_disk(finished: Finished) -> None:
    stages = ("measuring base", "merging", "converting to f16", "measuring f16", "quantising q4_k_m", "measuring q8_0")
    assert [name for name in dict.fromkeys(finished.activities) if name in stages] == list(stages)
    assert [path.name for path in (finished.attempts.folder / "scratch").iterdir()] == ["f16.gguf"]


def test_chat_templates_stay_behind_and_begin_tokens_stay(inputs: Inputs, attempts: Attempts, tmp_path: Path) -> None:
    changed = Inputs(tmp_path / "chat", inputs.adapter, inputs.dataset)
    _write_chatting_base(inputs.base, changed.base)
    result = attempts.run(changed.spec(attempts.store, ("q8_0",)))
    names = {file.path for file in attempts.store.folder(Reference.from_proto(result.merged))}
    assert "chat_template.jinja" not in names
    attempts.store.download(Reference.from_proto(result.files[0].file), tmp_path / "made.gguf")
    fields = gguf.GGUFReader(tmp_path / "made.gguf").fields
    assert "tokenizer.chat_template" not in fields
    assert fields["tokenizer.ggml.add_bos_token"].contents() is True
    # A begin token before each window: the first token of the text is predicted too.
    assert {figure.tokens for figure in result.perplexities} == {200}


def _write_chatting_base(base: Path, target: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(target)
    assert (target / "chat_template.jinja").exists()
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (target / name).write_bytes((base / name).read_bytes())
    begin = {"SpecialToken": {"id": tokenizer.bos_token, "type_id": 0}}
    text, other = ({"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB"))
    ids = {"id": tokenizer.bos_token, "ids": [tokenizer.bos_token_id], "tokens": [tokenizer.bos_token]}
    parts = json.loads((target / "tokenizer.json").read_text())
    parts["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [begin, text],
        "pair": [begin, text, other],
        "special_tokens": {tokenizer.bos_token: ids},
    }
    (target / "tokenizer.json").write_text(json.dumps(parts))
