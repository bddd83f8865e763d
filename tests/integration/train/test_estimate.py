from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bookmill.v1 import train_pb2
from services.common.errors import InvalidInput
from services.common.objects import Reference
from services.common.storage import Store
from services.train.estimating import estimate
from services.train.facts import read_data, read_model
from services.train.training_jobs import complete
from tests.support.toy_objects import put_folder
from tests.support.training import put_dataset, put_model


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inputs")


@pytest.mark.parametrize("dictionary", [True, False])
def test_an_estimate_is_near_what_is_trained(store: Store, folders: Path, dictionary: bool) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer  # takes seconds

    model = put_model(store, folders / "model")
    dataset = put_dataset(store, folders / "dataset", repeats=40)
    split = folders / "dataset" / "train.parquet"
    table = pq.read_table(split)
    if not dictionary:  # as BuildDataset writes it
        pq.write_table(table, split, use_dictionary=["book_id"], row_group_size=50, compression="zstd")
        dataset = store.put_folder("datasets", folders / "dataset")
    facts, data = read_model(store, model), read_data(store, dataset, model)

    base = AutoModelForCausalLM.from_pretrained(folders / "model")
    assert facts.parameters == sum(p.numel() for p in base.parameters())
    linear = [m.weight.shape for name, m in base.named_modules() if name.endswith("_proj")]
    assert sorted(facts.adapted) == sorted((int(outputs), int(inputs)) for outputs, inputs in linear)
    assert facts.size == sum(path.stat().st_size for path in (folders / "model").iterdir())
    assert (facts.width, facts.layers) == (base.config.hidden_size, base.config.num_hidden_layers)

    tokenizer = AutoTokenizer.from_pretrained(folders / "model")
    texts = table["text"].to_pylist()
    tokens = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
    options = complete(train_pb2.TrainingSpec()).hyperparameters
    assert estimate(facts, data, options, False, None).tokens == pytest.approx(tokens, rel=0.05)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config.json": b"{}"}, "no safetensors"),
        ({"model.safetensors": b"x", "tokenizer.json": b"{}"}, "no safetensors header"),
        ({"model.safetensors": b"\xff" * 100}, "no safetensors header"),
        ({"model.safetensors": b"\x02" + b"\0" * 7 + b"[]"}, "no safetensors header"),
    ],
)
async def test_a_model_that_is_none_is_refused(store: Store, files: dict[str, bytes], message: str) -> None:
    reference = await put_folder(store, "models", files)
    with pytest.raises(InvalidInput, match=message):
        read_model(store, reference)


@pytest.mark.parametrize("split", [{"test.parquet": b""}, {"train.parquet": b"no parquet"}])
async def test_a_dataset_that_is_none_is_refused(store: Store, folders: Path, split: dict[str, bytes]) -> None:
    model = await _model(store, folders)
    reference = await put_folder(store, "datasets", split)
    with pytest.raises(InvalidInput, match=r"train\.parquet"):
        read_data(store, reference, model)


async def _model(store: Store, folders: Path) -> Reference:
    folder = folders / "model"
    return store.put_folder("models", folder) if folder.exists() else put_model(store, folder)
