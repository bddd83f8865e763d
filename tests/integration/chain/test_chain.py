"""The whole chain through the real services, as a user runs it, on the tales and a tiny model."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from services.cli.client import Client
from services.common.storage import hash_file
from tests.support.chain import Chain, digests, running_chain


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    with running_chain(tmp_path_factory.mktemp("chain")) as chain:
        yield chain


@pytest.fixture(scope="module")
def first(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A finished run and the folder of its results."""
    output = tmp_path_factory.mktemp("first")
    code, summary = chain.run("--name=tales", output=output)
    assert code == 0, json.dumps({**summary, "books": [], "lineage": []}, indent=1)[:6000]
    return summary, output


def test_a_run_is_verified_and_its_results_are_files(first: tuple[dict[str, Any], Path]) -> None:
    summary, output = first
    assert summary["verified"] is True
    assert len(summary["books"]) == 10
    assert {r["reason"] for r in summary["refusals"]} >= {"HTML_PAGE", "ONLY_LICENCE"}
    assert {p["subject"] for p in summary["perplexities"]} == {"base", "adapter", "merged", "f16", "q4_k_m"}
    listed = {f["name"]: f for f in summary["files"]}
    for name in ("tales.q4_k_m.gguf", "Modelfile", "dataset/train.parquet", "dataset/test.parquet"):
        assert hash_file(output / name) == (listed[name]["sha256"], int(listed[name]["size"])), name
    assert (output / "tales.q4_k_m.gguf").read_bytes()[:4] == b"GGUF"
    assert "FROM ./tales.q4_k_m.gguf" in (output / "Modelfile").read_text()
    assert "<svg" in (output / "report.html").read_text()
    assert json.loads((output / "summary.json").read_text()) == summary


def test_the_training_was_estimated_before_it_began(chain: Chain, first: tuple[dict[str, Any], Path]) -> None:
    with Client(chain.stack.address) as client:
        run = client.run(first[0]["run"].removeprefix("runs/"))
    (train,) = (stage for stage in run["stages"] if stage["name"] == "train")
    taken = {count["name"]: int(count["value"]) for count in train["counts"]}
    expected = train["estimate"]
    assert expected["steps"] == taken["steps"] == 40
    # Of one pass, which these steps are a part of.
    assert expected["tokens"] >= taken["tokens"] * 0.9
    assert expected["memory_bytes"] > sum(p.stat().st_size for p in chain.model.iterdir())
    assert expected["disk_bytes"] > 0


def test_the_dataset_loads_and_no_book_is_in_two_splits(first: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    _, output = first
    dataset = load_dataset(str(output / "dataset"), cache_dir=str(tmp_path))
    books = {name: set(split["book_id"]) for name, split in dataset.items()}
    assert set(books) == {"train", "test"}
    assert books["train"] & books["test"] == set()
    assert "Project Gutenberg" not in "".join(dataset["train"]["text"])


def test_every_book_leads_to_the_model(first: tuple[dict[str, Any], Path]) -> None:
    lineage = json.dumps(first[0]["lineage"])
    for book in first[0]["books"]:
        assert book["source_sha256"] in lineage
    assert next(f["sha256"] for f in first[0]["files"] if f["name"].endswith("q4_k_m.gguf")) in lineage


def test_a_second_run_is_answered_from_records(
    chain: Chain, first: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    code, summary = chain.run("--name=tales", output=tmp_path / "again")
    assert code == 0
    assert summary["run"] != first[0]["run"]
    assert digests(summary) == digests(first[0])
    recorded = {s["name"]: s.get("recorded", 0) for s in summary["stages"]}
    assert all(recorded[name] for name in ("fetch", "clean", "chunk", "dataset", "train", "export")), recorded


def test_services_killed_in_the_middle_change_nothing(first: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    """Each service is killed with -9 in turn while a run is at work in a store of its own."""
    with running_chain(tmp_path) as chain, Client(chain.stack.address) as client:
        ongoing = chain.start("run", *chain.options("--name=tales"), "--json")
        watched = _run_begun(client)
        killed: list[str] = []
        by_stage = {"fetch": "ingest", "clean": "clean", "chunk": "chunk", "train": "train", "export": "export"}
        for state in client.watch(watched):
            for stage in state["stages"]:
                service = by_stage.get(stage["name"])
                if stage.get("state") == "STATE_RUNNING" and service and service not in killed:
                    os.kill(chain.stack.pid(service), signal.SIGKILL)
                    killed.append(service)
                    if service == "train":
                        os.kill(chain.stack.pid("gateway"), signal.SIGKILL)
                        killed.append("gateway")
        told, errors = ongoing.communicate(timeout=400)
        assert ongoing.returncode == 0, errors
    assert "train" in killed
    assert "gateway" in killed
    assert digests(json.loads(told)) == digests(first[0])


def test_ctrl_c_and_the_same_command_again(chain: Chain, tmp_path: Path) -> None:
    """The stack is stopped in the middle of the training; the next one goes on from the checkpoint."""
    options = ("--name=tales", "--max-steps=100")  # so many that the middle cannot be missed
    _, undisturbed = chain.run(*options, output=tmp_path / "undisturbed")
    with running_chain(tmp_path) as own, Client(own.stack.address) as client:
        ongoing = own.start("run", *own.options(*options), "--json")
        for state in client.watch(_run_begun(client)):
            progress = next(s for s in state["stages"] if s["name"] == "train").get("progress", {})
            if progress.get("activity") == "training" and int(progress.get("completed", 0)) >= 12:
                break
        ongoing.send_signal(signal.SIGINT)
        assert ongoing.wait(60) == 130
        ongoing.communicate()
    with running_chain(tmp_path) as own:
        code, summary = own.run(*options, "--resume", output=tmp_path / "output")
    assert code == 0
    assert digests(summary) == digests(undisturbed)


def test_two_identical_runs_at_once_train_once(chain: Chain, tmp_path: Path) -> None:
    options = [*chain.options("--name=twice", "--seed=11"), "--json"]
    both = [chain.start("run", *options) for _ in range(2)]
    told = [json.loads(each.communicate(timeout=400)[0]) for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert digests(told[0]) == digests(told[1])
    names = {json.dumps(t["lineage"], sort_keys=True) for t in told}
    assert len(names) == 1, "one adapter for both"


def test_own_texts(chain: Chain, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    tales = Path("deploy/examples/tales")
    for name in ("900001-0.txt", "900004-8.txt", "900005.txt", "900012.txt"):
        shutil.copy(tales / name, folder / name)
    code, summary = chain.run(f"--from={folder}", "--name=own", output=tmp_path / "output")
    assert code == 0
    assert len(summary["books"]) == 3
    assert [r["reason"] for r in summary["refusals"]] == ["ONLY_LICENCE"]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["show", "no-such-run"], 2, "NO_SUCH_RUN"),
        (["run", "--topic=horror", "--base-model=file:/etc"], 1, "OUTSIDE_ROOTS"),
        (["run", "--topic=horror", "--base-model=gpt-9"], 2, "llama-3.1-8b"),
        (["run", "--topic=horror", "--quantization=q3_x"], 2, "q4_k_m"),
        (["run", "--topic=horror", "--context-length=-4"], 2, "context-length"),
        (["run"], 2, "--topic"),
        (["download", "no-such-run", "--output=x"], 2, "NO_SUCH_RUN"),
        (["rnu"], 2, "run"),
        (["run", "--topik=horror"], 2, "--topic"),
    ],
)
def test_bad_input_is_told_with_its_choices(chain: Chain, words: list[str], code: int, told: str) -> None:
    done = chain.command(*words)
    assert done.returncode == code, done.stderr
    assert told in done.stdout + done.stderr


def test_a_topic_without_books_is_told(chain: Chain) -> None:
    done = chain.command("run", *chain.options("--topic=zyzzyva"))
    assert done.returncode == 1
    assert "NO_BOOKS" in done.stderr


def test_looking_at_runs(chain: Chain, first: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    run = first[0]["run"]
    runs = json.loads(chain.command("runs", "--json").stdout)
    assert f"runs/{run}".removeprefix("runs/runs/") in {r["name"] for r in runs} | {
        r["name"].removeprefix("runs/") for r in runs
    }
    assert "verified" in chain.command("show", run).stdout
    assert chain.command("download", run, f"--output={tmp_path}", "--file=Modelfile").returncode == 0
    assert (tmp_path / "Modelfile").exists()
    samples = json.loads(chain.command("sample", run, "--json").stdout)
    assert samples
    assert set(samples[0]) >= {"prompt", "base", "tuned"}
    assert "would remove" in chain.command("prune", "--dry-run").stdout
    assert "smollm2" in chain.command("models").stdout


def _run_begun(client: Client) -> str:
    """Waits for the first run and gives its id."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if runs := client.runs().get("runs", []):
            return str(runs[0]["name"]).removeprefix("runs/")
        time.sleep(0.1)  # between two looks at another process
    raise AssertionError("no run has begun within a minute")
