"""Helm, started once, and copies of the chart that something was broken in."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.helm import CHART, Helm, running_helm

Broken = Callable[..., Path]


@pytest.fixture(scope="session")
def helm() -> Iterator[Helm]:
    with running_helm() as started:
        yield started


@pytest.fixture
def broken(tmp_path: Path) -> Broken:
    """Copies the chart with a text of one file replaced: what a check is for must then be found."""

    def copied(file: str, old: str, new: str) -> Path:
        chart = tmp_path / "bookmill"
        if not chart.exists():
            shutil.copytree(CHART, chart)
        path = chart / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r} any more: break it elsewhere"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return chart

    return copied
