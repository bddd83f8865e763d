"""The README names what exists. Its two main commands are run whole by `.ci/run` and by the tests of the chain."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from services.clean.rules import RULES
from services.cli.__main__ import app
from services.ingest.sources import SOURCES

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What stands in blocks that a shell would run, continued lines joined, comments dropped.
_BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)
_LINES = [line.split("#")[0].strip() for block in _BLOCKS for line in block.replace("\\\n", " ").splitlines()]
_COMMANDS = dict(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", [line for line in _LINES if line.startswith("make ")])
def test_make_targets_exist(line: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    target = line.split()[1]
    assert re.search(rf"^{target}:.*## ", makefile, re.M), f"`{line}` of the README names no documented target"


@pytest.mark.parametrize("line", [line for line in _LINES if line.startswith("bookmill ")])
def test_commands_and_options_exist(line: str) -> None:
    _, name, *words = shlex.split(line)
    assert name in _COMMANDS
    options = {option for parameter in _COMMANDS[name].params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in options, f"{name} has no {word}"


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:services|deploy|charts|requirements)/[^`:<]*)`", README)))
)
def test_paths_exist(path: str) -> None:
    assert (ROOT / path.split(":")[0]).exists(), path


def test_what_is_added_is_added_where_the_readme_says() -> None:
    for named, there in (("rules/__init__.py: RULES", RULES), ("sources/__init__.py: SOURCES", SOURCES)):
        assert named in README
        assert there


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in _LINES or any(line.startswith("make test") for line in _LINES)
