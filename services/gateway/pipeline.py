"""A run, stage by stage. Read this first.

Each stage is a function of its surroundings and of what the stages before it gave; it calls one service and returns a
result. Counting, timing, recording, waiting and resuming are the runner's (`runner.py`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.gateway.context import Context
from services.gateway.results import Books, Dataset, Export, Model, Publications, Report, Result, State, Training
from services.gateway.stages.chunk import chunk
from services.gateway.stages.clean import clean
from services.gateway.stages.dataset import dataset
from services.gateway.stages.export import export
from services.gateway.stages.fetch import fetch
from services.gateway.stages.model import model
from services.gateway.stages.publish import publish
from services.gateway.stages.report import report
from services.gateway.stages.search import search
from services.gateway.stages.train import train


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage."""

    name: str
    """Also the name of the field of State that its result becomes."""
    work: Callable[[Context, State], Awaitable[Result]]
    result: type[Result]
    is_job: bool = False
    """Its `started` object pins a job's name, so it is written when there is one."""
    ahead: bool = False
    """It needs nothing of the stages before it: it begins with the run, and is awaited at its place."""


PIPELINE = (
    Stage("search", search, Books),
    Stage("fetch", fetch, Books),
    Stage("clean", clean, Books),
    Stage("chunk", chunk, Books),
    Stage("dataset", dataset, Dataset),
    Stage("model", model, Model, ahead=True),
    Stage("train", train, Training, is_job=True),
    Stage("export", export, Export, is_job=True),
    Stage("publish", publish, Publications),
    Stage("report", report, Report),
)
