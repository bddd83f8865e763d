"""What a training makes of good and of bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from services.common.objects import Reference
from services.evaluation.perplexity import perplexity
from services.evaluation.texts import held_out_tokens
from services.jobs.exits import BadConfiguration, NotFinite
from services.train.job.data import load_sequences
from services.train.job.model import accelerator
from tests.support.training import TrainingProgram, hyperparameters, put_dataset, rows, variation, write_split

pytestmark = pytest.mark.usefixtures("_arithmetic")


def test_the_adapter_is_a_peft_folder_without_a_path(program: TrainingProgram, tmp_path: Path) -> None:
    result = program.attempt(tmp_path / "scratch")
    adapter = tmp_path / "adapter"
    program.store.download_folder(Reference.from_proto(result.adapter), adapter)
    assert sorted(path.name for path in adapter.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == program.spec.base_model.sha256
    assert config["target_modules"] == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert str(tmp_path) not in (adapter / "adapter_config.json").read_text()

    report = json.loads(program.store.read(Reference.from_proto(result.report)))
    assert str(tmp_path) not in json.dumps(report)
    assert [point["step"] for point in report["loss"]] == list(range(1, result.steps + 1))
    assert report["loss"][-1]["loss"] < report["loss"][0]["loss"]
    # Two passes over all tokens of the split.
    assert result.tokens == 2 * report["data"]["tokens"] == report["tokens"]
    assert result.perplexity_after < result.perplexity_before
    assert report["perplexity"]["after"] == {"value": result.perplexity_after, "tokens": result.evaluation_tokens}

    # What is in the store, loaded as anyone would, has the perplexity that is told.
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=accelerator().dtype)
    tokens = held_out_tokens(tmp_path / "dataset/test.parquet", AutoTokenizer.from_pretrained(tmp_path / "model"), 200)
    assert perplexity(base, tokens, 64).value == result.perplexity_before
    tuned = PeftModel.from_pretrained(base, str(adapter))
    assert perplexity(tuned, tokens, 64).value == result.perplexity_after


def test_sequences_hold_all_of_the_text(program: TrainingProgram, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    (tmp_path / "work").mkdir()
    data = load_sequences(tmp_path / "dataset/train.parquet", tokenizer, 64, None, tmp_path / "work")
    ids = [token for sequence in data.sequences["input_ids"] for token in sequence]
    end = tokenizer.eos_token
    assert tokenizer.decode(ids) == "".join(variation(number) + end for number in range(3))
    assert (data.books, data.tokens) == (3, len(ids))


def test_without_held_out_text_nothing_is_measured(program: TrainingProgram, tmp_path: Path) -> None:
    dataset = put_dataset(program.store, tmp_path / "small", repeats=1, held_out=False)
    program.spec.dataset.CopyFrom(dataset.to_proto())
    program.spec.hyperparameters.max_steps = 3
    result = program.attempt(tmp_path / "scratch")
    assert result.steps == 3
    assert not result.HasField("perplexity_before")
    assert not result.HasField("perplexity_after")
    assert json.loads(program.store.read(Reference.from_proto(result.report)))["perplexity"] == {}


def test_a_loss_that_is_no_number_ends_it_without_a_checkpoint(program: TrainingProgram, tmp_path: Path) -> None:
    def poison(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"][0] = torch.nan
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    _change_model(program, tmp_path, poison)
    dataset = put_dataset(program.store, tmp_path / "small", repeats=1, held_out=False)
    program.spec.dataset.CopyFrom(dataset.to_proto())
    with pytest.raises(NotFinite, match="step 1: the loss is nan"):
        program.attempt(tmp_path / "scratch")
    assert program.checkpoints() == []
    assert not list(program.store.list("adapters/"))


def test_a_base_model_that_is_broken_is_found_before_training(program: TrainingProgram, tmp_path: Path) -> None:
    def poison(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        weights["model.norm.weight"][:] = torch.nan
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    _change_model(program, tmp_path, poison)
    with pytest.raises(NotFinite, match="measuring the base model: its perplexity on held-out text is nan"):
        program.attempt(tmp_path / "scratch")


def _config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        change(config)
        (folder / "config.json").write_text(json.dumps(config))

    return apply


def _without_end(folder: Path) -> None:
    config = json.loads((folder / "tokenizer_config.json").read_text())
    del config["eos_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def _few_rows(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:500].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    _config(lambda config: config.update(vocab_size=500))(folder)


def _without_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _change_model(program: TrainingProgram, tmp_path: Path, change: Callable[[Path], object]) -> None:
    change(tmp_path / "model")
    program.spec.base_model.CopyFrom(program.store.put_folder("models", tmp_path / "model").to_proto())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_pickle, "lacks config.json or .*safetensors; it holds .*pytorch_model.bin"),
        (lambda folder: (folder / "tokenizer_config.json").unlink(), "there is no tokenizer_config.json in it"),
        (_config(lambda config: config.pop("model_type")), "names no model_type"),
        (_config(lambda config: config.update(model_type="no_such_model")), "transformers cannot load it"),
        (_config(lambda config: config.update(auto_map={"AutoModel": "x.Y"})), "needs code of its own"),
        (_config(lambda config: config.update(quantization_config={})), "its weights are quantised"),
        (_without_end, "names no token that ends a text"),
        (_without_a_tensor, "its weights lack model.layers.1.mlp.up_proj.weight"),
        (_few_rows, "ids up to 511, its embeddings 500 rows"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 100), "transformers cannot load it"),
    ],
)
def test_a_base_model_that_cannot_be_trained_is_refused(
    program: TrainingProgram, tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    _change_model(program, tmp_path, change)
    with pytest.raises(BadConfiguration, match=message) as refused:
        program.attempt(tmp_path / "scratch")
    assert refused.value.reason == "BAD_MODEL"
    assert refused.value.metadata["field"] == "base_model"


def _one_row(path: Path, **columns: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([columns]), path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: write_split(folder / "test.parquet", rows("1", "text")), "has no train.parquet; it holds test"),
        (lambda folder: _one_row(folder / "train.parquet", content="x", book_id="1"), "no column of strings 'text'"),
        (lambda folder: _one_row(folder / "train.parquet", text="x", book_id=1), "no column of strings 'book_id'"),
        (
            lambda folder: pq.write_table(
                pa.table({"text": pa.array([], pa.string()), "book_id": pa.array([], pa.string())}),
                folder / "train.parquet",
            ),
            "train.parquet is empty",
        ),
        (
            lambda folder: write_split(folder / "train.parquet", [{"text": "", "book_id": "1"}]),
            "has no text to train on",
        ),
        (lambda folder: (folder / "train.parquet").write_bytes(b"PAR1 no"), "is no parquet file"),
    ],
)
def test_a_dataset_that_is_none_is_refused(
    program: TrainingProgram, tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    make(folder)
    program.spec.dataset.CopyFrom(program.store.put_folder("datasets", folder).to_proto())
    with pytest.raises(BadConfiguration, match=message) as refused:
        program.attempt(tmp_path / "scratch")
    assert refused.value.reason == "BAD_DATASET"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 1024}, "context_length is 1024; it can be at most 512 with this base model"),
        ({"lora_rank": 65}, "lora_rank is 65; it can be at most 64 with this base model"),
        ({"precision": "4bit"}, "precision is '4bit'; it can be auto or 16bit on this machine"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="says what a machine without a GPU says")
def test_what_the_model_and_the_machine_forbid_is_refused(
    program: TrainingProgram, tmp_path: Path, changes: dict[str, float | str], message: str
) -> None:
    program.spec.hyperparameters.CopyFrom(hyperparameters(**changes))
    with pytest.raises(BadConfiguration, match=message):
        program.attempt(tmp_path / "scratch")


def test_the_program_says_42_and_why(program: TrainingProgram) -> None:
    program.spec.hyperparameters.lora_dropout = 2.0
    code, log = program.run()
    assert code == 42
    outcome = program.store.get_record(f"jobs/{program.job}/outcome.json")
    assert outcome["reason"] == "BAD_HYPERPARAMETER"
    assert outcome["metadata"] == {"field": "lora_dropout", "value": "2.0", "choices": "0 to 0.9"}
    assert "BAD_HYPERPARAMETER" in log
