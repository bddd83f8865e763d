"""The page of a run: complete, self-contained, and unmoved by whatever stands in the summary."""

import json
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.report.page import render_report

EVIL = """<script>alert("1")</script>' onload='x"><img src=http://evil.example/x>&amp;</title></style>"""
SUMMARY: dict[str, Any] = {
    "run": "runs/horror-1",
    "state": "SUCCEEDED",
    "verified": True,
    "asked": 3,
    "spec": {"topic": "horror", "base_model": "hf:org/tiny@1"},
    "stages": [
        {"name": "fetch", "state": "SUCCEEDED", "seconds": 75.2, "counts": {"books": 2}, "digests": {"books": "a" * 64},
         "recorded": False, "refused": 1},
        {"name": "clean", "state": "SUCCEEDED", "seconds": 0.1, "counts": {}, "digests": {}, "recorded": True},
    ],
    "books": [
        {"uri": "gutenberg:900001", "title": "The Lamp", "authors": ["Ada Wren", "Tom Ash"], "characters_in": 1000,
         "characters_out": 900, "chunks": 3, "removed": {"frame": 90, "page_numbers": 10, "italics": 0},
         "split": "train", "clean": "b" * 64},
        {"uri": "gutenberg:900002", "title": "Grey", "authors": [], "characters_in": 1000, "characters_out": 950,
         "chunks": 4, "removed": {"frame": 50}, "split": "test"},
    ],
    "refusals": [{"book": "gutenberg:900003", "title": "", "stage": "fetch", "reason": "ONLY_LICENCE",
                  "message": "no text"}],
    "dataset": {"splits": [{"name": "train", "file": "train.parquet", "rows": 3, "books": 1, "characters": 900}],
                "duplicates": 0},
    "training": {"steps": 60, "tokens": 1234, "loss_curve": [{"step": s, "loss": 5 - s / 30} for s in range(1, 61)],
                 "final_loss": 3.0, "perplexity_before": 30.0, "perplexity_after": 20.0},
    "perplexities": [{"subject": s, "value": v, "tokens": 511} for s, v in
                     (("base", 30.5), ("adapter", 20.0), ("merged", 20.01), ("f16", 20.02), ("q4_k_m", 25.0))],
    "bounds": {"merged": 0.01, "f16": 0.01, "quantized": 0.1},
    "files": [{"name": "horror.q4_k_m.gguf", "sha256": "c" * 64, "size": 3 << 20}],
    "samples": [{"prompt": "The door", "base": " of the of the", "tuned": " stood ajar"}],
    "lineage": {"books": [{"uri": "gutenberg:900001", "raw": "d" * 64}]},
    "publications": [{"what": "model", "address": "https://hub.example/me/horror", "dry_run": True, "files": [{}, {}]},
                     {"what": "ollama", "address": "javascript:alert(1)", "dry_run": True, "files": []}],
}  # fmt: skip


class Page(HTMLParser):
    """What a browser would make of it."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})
    SHAPES = frozenset({"line", "rect", "circle", "polyline"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: dict[str, int] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID | {"p", "li", "dt", "dd"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag in {"p", "li", "dt", "dd"}:
            return
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def test_everything_of_the_summary_is_there() -> None:
    page = Page(render_report(SUMMARY))
    for wanted in (
        "horror", "✓ succeeded", "✓ verified", "books used, 1 set aside", "1,850", "2 of the 3 books", "1 min 15 s",
        "from the record", "30.50 → 20.00", "3.0 MiB", "The Lamp", "Ada Wren, Tom Ash", "ONLY_LICENCE", "stood ajar",
        "c" * 64, "d" * 64, "dry run", "frame", "140 (7.0%)", "page numbers",
    ):  # fmt: skip
        assert wanted in page.text, wanted
    assert "italics" not in page.text
    assert page.tags["svg"] == 3
    assert page.tags["polyline"] == 1
    assert page.text.count("✓ holds") == 2
    assert page.text.count("✗ too far") == 1  # 25.0 against 20.02 is a quarter more, a tenth is allowed


def test_it_loads_nothing_and_runs_nothing() -> None:
    page = render_report(SUMMARY)
    found = Page(page)
    assert not {"script", "img", "iframe", "link", "object", "form"} & set(found.tags)
    assert {v for t, n, v in found.attributes if n in ("href", "src")} == {"https://hub.example/me/horror"}
    assert not [n for _, n, _ in found.attributes if n.startswith("on")]
    assert "url(" not in page
    assert "@import" not in page


def test_every_chart_says_in_words_what_it_shows() -> None:
    labels = [v for t, n, v in Page(render_report(SUMMARY)).attributes if (t, n) == ("svg", "aria-label")]
    assert any("base model: 30.500" in label for label in labels)
    assert any("loss from 4.967" in label for label in labels)


@pytest.mark.parametrize(
    "path", ["run", "state", "spec", "stages", "books", "refusals", "training", "files", "samples"]
)
def test_a_part_that_is_missing_is_left_out(path: str) -> None:
    Page(render_report({k: v for k, v in SUMMARY.items() if k != path}))


def test_an_empty_summary_is_a_page_that_claims_nothing() -> None:
    page = Page(render_report({}))
    assert "✗ not verified" in page.text
    assert "✓" not in page.text


def test_a_failed_run_says_why() -> None:
    reason = {"reason": "PARITY", "message": "q4_k_m is 25 % off"}
    page = Page(render_report(SUMMARY | {"state": "FAILED", "verified": False, "reason": reason}))
    assert "✗ failed" in page.text
    assert "PARITY" in page.text
    assert "✓ verified" not in page.text


def test_values_are_shown_and_never_obeyed() -> None:
    evil = json.loads(
        json.dumps(SUMMARY), object_hook=lambda o: {k: EVIL if isinstance(v, str) else v for k, v in o.items()}
    )
    page = render_report(evil | {"spec": {"topic": EVIL}})
    found = Page(page)
    assert not {"script", "img"} & set(found.tags)
    assert "<script" not in page
    assert page.count("</style>") == page.count("</title></head>") + 1 or page.count("</style>") == 1
    assert '<script>alert("1")</script>' in found.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(SUMMARY)), JSON), st.sampled_from(sorted(SUMMARY)))
def test_odd_parts_never_break_the_page(odd: dict[str, Any], gone: str) -> None:
    Page(render_report({**SUMMARY, **odd, gone: None}))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1e6)), max_size=1500, unique_by=lambda p: p[0]))
def test_any_loss_curve_is_drawn(points: list[tuple[int, float]]) -> None:
    curve = [{"step": step, "loss": loss} for step, loss in points]
    page = render_report({"training": {"loss_curve": curve}})
    assert ("<polyline" in page) == (len(points) > 1)
    assert len(page) < 40_000


def test_equal_summaries_give_equal_pages() -> None:
    assert render_report(SUMMARY) == render_report(json.loads(json.dumps(SUMMARY)))
