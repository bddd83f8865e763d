"""Charts as tests see them: rendered objects, or Helm's refusal."""

import copy
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "bookmill"
TOOLS = ROOT / ".venv" / "chart" / "bin"
"""Where the chart's checkers are: their dependencies are not ours, so they have an environment of their own."""


class HelmRefused(Exception):
    """Helm does not render: the values or the templates are wrong."""


class Helm:
    """Helm in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._rendered: dict[str, list[Object]] = {}

    def render(self, values: Object | None = None, chart: Path = CHART, name: str = "bookmill") -> list[Object]:
        """Renders a chart into objects, those of tests included, without its notes. Asked twice, it gives the same.

        Raises:
            HelmRefused: with Helm's words.
        """
        key = json.dumps([values, name]) if chart == CHART else ""
        if key not in self._rendered or not key:
            texts = self.texts(values, chart, name)
            whole = "\n---\n".join(text for path, text in texts.items() if not path.endswith(".txt"))
            self._rendered[key] = [found for found in yaml.load_all(whole, yaml.CSafeLoader) if found]
        return self._rendered[key]

    def texts(self, values: Object | None = None, chart: Path = CHART, name: str = "bookmill") -> dict[str, str]:
        """Renders a chart into text, by template.

        Raises:
            HelmRefused: with Helm's words.
        """
        rendered: dict[str, str] = self._ask("render", chart, values, name=name, namespace="bookmill")["rendered"]
        return rendered

    def lint(self, values: Object | None = None, chart: Path = CHART) -> list[str]:
        """Gives what `helm lint --strict` finds, information excepted."""
        report = self._ask("lint", chart, values)["lint"]
        return [str(m["error"]) for m in report["messages"] if m["severity"] > 1] + list(map(str, report["errors"]))

    def _ask(self, do: str, chart: Path, values: Object | None, **more: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, "chart": str(chart), "values": values or {}, **more}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise HelmRefused(answer["error"])
        return answer


@contextmanager
def running_helm() -> Iterator[Helm]:
    """Starts Helm; skips where its environment was not made."""
    command = [str(tool("python")), str(ROOT / "tests" / "support" / "helm_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Helm(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def tool(name: str) -> Path:
    """Gives one of the chart's checkers; skips where they were not installed."""
    path = TOOLS / name
    if not path.exists():
        pytest.skip(f"{path.relative_to(ROOT)} is not there: run `make setup-dev`")
    return path


def values_of(*paths: Path) -> Object:
    """Reads values files as `helm -f` does: a later one has its way, maps are merged."""
    merged: Object = {}
    for path in paths:
        merged = overlaid(merged, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    return merged


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> Object:
    """Merges values: maps are merged, everything else is replaced."""
    merged = copy.deepcopy(dict(under))
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlaid(merged[key], value) if both else copy.deepcopy(value)
    return merged
