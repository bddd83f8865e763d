"""`bookmill run`: from a topic or one's own books to a verified model."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from services.cli import exits, own_books
from services.cli.base_models import resolve
from services.cli.client import FINAL_STATES, Client
from services.cli.commands.download import download_all
from services.cli.display import RunDisplay
from services.cli.options import DEFAULT_SERVER, AsJson, Data, Token, run_id
from services.cli.stack import Stack, reading
from services.cli.summary import show_summary
from services.common.errors import InvalidInput

_BOOKS = "Books"
_TRAINING = "Training"
_EXPORT = "Export"
_PUBLISH = "Publishing"
_CALL = "How to run"


def run(
    data: Data,
    topic: Annotated[str, typer.Option(help="A subject of the catalogue: horror.", rich_help_panel=_BOOKS)] = "",
    books: Annotated[int, typer.Option(min=1, max=10_000, help="Books at the most.", rich_help_panel=_BOOKS)] = 20,
    language: Annotated[list[str] | None, typer.Option(help="ISO 639-1 code.", rich_help_panel=_BOOKS)] = None,
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", exists=True, help="Your own texts: file, folder or archive.", rich_help_panel=_BOOKS),
    ] = None,
    book: Annotated[
        list[str] | None, typer.Option(help="One book: gutenberg:84, https://…, s3:….", rich_help_panel=_BOOKS)
    ] = None,
    chunk_characters: Annotated[
        int, typer.Option(min=0, max=100_000, help="Characters of a chunk; 0: 7,000.", rich_help_panel=_BOOKS)
    ] = 0,
    held_out: Annotated[
        float, typer.Option(min=0, max=0.5, help="Share of books held out; 0: 0.1.", rich_help_panel=_BOOKS)
    ] = 0.0,
    base_model: Annotated[
        str, typer.Option(help="llama-3.1-8b, hf:ORG/NAME, file:FOLDER, ….", rich_help_panel=_TRAINING)
    ] = "llama-3.1-8b",
    max_steps: Annotated[int, typer.Option(min=0, help="Steps at the most; 0: all.", rich_help_panel=_TRAINING)] = 0,
    epochs: Annotated[float, typer.Option(min=0, help="Passes; 0: 1.", rich_help_panel=_TRAINING)] = 0.0,
    context_length: Annotated[
        int, typer.Option(min=0, help="Tokens of a sequence; 0: 2,048.", rich_help_panel=_TRAINING)
    ] = 0,
    batch_size: Annotated[
        int, typer.Option(min=0, help="Sequences a device step; 0: 2.", rich_help_panel=_TRAINING)
    ] = 0,
    gradient_accumulation: Annotated[
        int, typer.Option(min=0, help="Device steps a step; 0: 4.", rich_help_panel=_TRAINING)
    ] = 0,
    learning_rate: Annotated[float, typer.Option(min=0, help="Peak; 0: 0.0002.", rich_help_panel=_TRAINING)] = 0.0,
    lora_rank: Annotated[int, typer.Option(min=0, help="0: 16.", rich_help_panel=_TRAINING)] = 0,
    lora_alpha: Annotated[int, typer.Option(min=0, help="0: 16.", rich_help_panel=_TRAINING)] = 0,
    checkpoint_steps: Annotated[
        int, typer.Option(min=0, help="Steps between checkpoints; 0: 50.", rich_help_panel=_TRAINING)
    ] = 0,
    evaluation_tokens: Annotated[
        int, typer.Option(min=0, help="Held-out tokens measured; 0: 20,000.", rich_help_panel=_TRAINING)
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="0: 3407.", rich_help_panel=_TRAINING)] = 0,
    name: Annotated[str, typer.Option(help="File-name stem; from the topic if empty.", rich_help_panel=_EXPORT)] = "",
    quantization: Annotated[
        list[str] | None, typer.Option(help="q4_k_m, q8_0, …; the first gets the Modelfile.", rich_help_panel=_EXPORT)
    ] = None,
    parity_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens of the parity check; 0: 2,048.", rich_help_panel=_EXPORT)
    ] = 0,
    prompt: Annotated[list[str] | None, typer.Option(help="A beginning to sample.", rich_help_panel=_EXPORT)] = None,
    sample_tokens: Annotated[int, typer.Option(min=0, help="0: 120.", rich_help_panel=_EXPORT)] = 0,
    publish_dataset: Annotated[str, typer.Option(metavar="OWNER/NAME", rich_help_panel=_PUBLISH)] = "",
    publish_model: Annotated[str, typer.Option(metavar="OWNER/NAME", rich_help_panel=_PUBLISH)] = "",
    publish_ollama: Annotated[str, typer.Option(metavar="NAME", rich_help_panel=_PUBLISH)] = "",
    private: Annotated[bool, typer.Option("--private", help="Private repositories.", rich_help_panel=_PUBLISH)] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be published; send nothing.", rich_help_panel=_PUBLISH)
    ] = False,
    server: Annotated[
        str,
        typer.Option(
            envvar="BOOKMILL_SERVER",
            help="A gateway; without it the one at 127.0.0.1:8080, or services of this command's own.",
            rich_help_panel=_CALL,
        ),
    ] = "",
    token: Token = "",
    output: Annotated[Path | None, typer.Option(help="Folder for the results.", rich_help_panel=_CALL)] = None,
    request_id: Annotated[str, typer.Option(help="Makes the call safe to repeat.", rich_help_panel=_CALL)] = "",
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with an unfinished run of the same options, if there is one; without --server it always does.",
            rich_help_panel=_CALL,
        ),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once.", rich_help_panel=_CALL)] = False,
    as_json: AsJson = False,
) -> None:
    """Make a model: search, fetch, clean, chunk, train, merge, quantise, verify, and publish if asked."""
    if not (topic or from_ or book):
        raise InvalidInput("NO_BOOKS_NAMED", "name books: --topic SUBJECT, --from PATH or --book URI")
    spec: dict[str, Any] = {
        "topic": topic,
        "max_books": books if topic else 0,
        "languages": language or [],
        "books": [{"uri": uri} for uri in book or ()],
        "base_model": resolve(base_model),
        "max_characters": chunk_characters,
        "held_out_fraction": held_out,
        "hyperparameters": {
            "max_steps": max_steps,
            "epochs": epochs,
            "context_length": context_length,
            "batch_size": batch_size,
            "gradient_accumulation": gradient_accumulation,
            "learning_rate": learning_rate,
            "lora_rank": lora_rank,
            "lora_alpha": lora_alpha,
            "checkpoint_steps": checkpoint_steps,
            "evaluation_tokens": evaluation_tokens,
            "seed": seed,
        },
        "quantizations": quantization or [],
        "model_name": name,
        "parity_tokens": parity_tokens,
        "samples": {"prompts": prompt or [], "tokens": sample_tokens},
    }
    if publish_dataset or publish_model or publish_ollama:
        spec["publish"] = {
            "dataset_repository": publish_dataset,
            "model_repository": publish_model,
            "ollama_model": publish_ollama,
            "private": private,
            "dry_run": dry_run,
        }
    console = Console(stderr=True)
    roots = [spec["base_model"].removeprefix("file:")] if spec["base_model"].startswith("file:") else []
    with _gateway(server, token, data, roots, console) as (client, own):
        if from_:
            own_books.add(client, spec, from_, console)
        created = _unfinished(client, spec) if (own or resume) and not request_id else None
        if created is None:
            created = client.create_run(spec, request_id)
        else:
            console.print(f"going on with {created['name']}, which was not finished")
        if detach and not own:
            print(json.dumps(created) if as_json else created["name"])
            return
        code = follow(client, run_id(created["name"]), output, as_json, console)
    raise typer.Exit(code)


def follow(client: Client, run: str, output: Path | None, as_json: bool, console: Console) -> int:
    """Shows a run until it is final, then its summary, and downloads its results.

    Args:
        client: to the gateway.
        run: the run's id.
        output: a folder for the results, None for none.
        as_json: print the summary as JSON on standard output, in place of the table.
        console: where progress goes.

    Returns:
        The exit code: 0 when the run succeeded and everything in it was verified.
    """
    state: dict[str, Any] = {}
    with RunDisplay(console) as display:
        for state in client.watch(run):
            display.show(state)
    summary = json.loads(client.file(run, "summary.json"))
    if output is not None:
        download_all(client, state, output, console)
    if as_json:
        print(json.dumps(summary, ensure_ascii=False))
    else:
        show_summary(Console(), summary)
    if state.get("state") == "STATE_SUCCEEDED" and summary.get("verified"):
        return exits.OK
    reason = state.get("reason") or {}
    console.print(f"[red]not finished[/]: {reason.get('reason', state.get('state'))}: {reason.get('message', '')}")
    return exits.FAILED


@contextmanager
def _gateway(server: str, token: str, data: Path, roots: list[str], console: Console) -> Iterator[tuple[Client, bool]]:
    """Gives a client, and whether the services are this command's own, which may read the folders named."""
    client = Client(server or DEFAULT_SERVER, token)
    if server or client.is_up():
        yield client, False
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # it stops the services as Ctrl-C does
    with console.status("starting the store and the services"):
        stack = Stack(data, settings=reading(roots))
        stack.__enter__()
    try:
        yield Client(stack.address, token), True
    except KeyboardInterrupt:
        print("stopping: what is done is recorded, and the same command goes on from there", file=sys.stderr)
        raise
    finally:
        stack.__exit__()


def _unfinished(client: Client, spec: dict[str, Any]) -> dict[str, Any] | None:
    """Finds the run that an interrupted command of the same options left."""
    wanted = client.create_run(spec, validate_only=True).get("spec")
    for run in client.runs(page_size=100).get("runs", []):
        if run.get("state") not in FINAL_STATES and run.get("spec") == wanted:
            return dict(run)
    return None
