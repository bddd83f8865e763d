"""Cards: valid front matter, every value shown as it is, careful words, equal bytes for equal facts."""

import dataclasses
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from services.common.errors import InvalidInput
from services.export.cards import markdown
from services.export.cards.books import Book, read_books, rights, table
from services.export.cards.dataset_card import DatasetFacts, dataset_card
from services.export.cards.front_matter import front_matter, hub_model, languages, licence_fields
from services.export.cards.model_card import GgufFile, Measured, ModelFacts, model_card
from tests.support.hub_http import front_matter_problems

BOOKS = (
    Book("gutenberg:900001", "The Lamp", "Ada Wren", "gutenberg:900001", "a" * 64),
    Book("gutenberg:900002", "Grey", "Tom Ash", "gutenberg:900002"),
)
UPLOAD = Book("upload:1", "Mine", "Me", "upload:" + "1" * 64)
MODEL = ModelFacts(
    repository="me/horror-135m",
    topic="horror",
    base_model="hf:org/tiny@0123",
    base_licence="apache-2.0",
    context_length=512,
    files=[GgufFile("horror.q4_k_m.gguf", "q4_k_m", "b" * 64, 1_234_567, 6.2)],
    measured=[
        Measured("base", 30.0, 500, "", 0, 0),
        Measured("merged", 20.02, 500, "adapter", 0.02, 0.001),
        Measured("q4_k_m", 21.0, 500, "f16", 0.15, 0.05),
    ],
    samples=[("The door", " opened.", " was ```shut```\n~~~\n# Not a heading")],
    digests={"dataset": "c" * 64},
    books=BOOKS,
    merged=False,
)
DATASET = DatasetFacts(
    repository="me/horror-books",
    topic="horror",
    digest="d" * 64,
    files=[("test.parquet", "e" * 64, 10), ("train.parquet", "f" * 64, 20)],
    books=BOOKS,
)
EVIL = (
    "`|*_[x](http://evil.example)<script>alert(1)</script>&amp;\n\n# Head\n---\nlicense: mit\n"
    "@you #1 $$x$$ www.evil.example"
)
HUB = MarkdownIt("gfm-like", {"linkify": False}).enable("table")


def head(card: str) -> dict[str, Any]:
    found = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert found
    return dict(yaml.safe_load(found[1]))


def body(card: str) -> str:
    return HUB.render(card.split("\n---\n", 1)[1])


class Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.said = ""
        self.tags: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


@pytest.mark.parametrize(("card", "kind"), [(model_card(MODEL), "model"), (dataset_card(DATASET), "dataset")])
def test_the_hub_accepts_the_front_matter(card: str, kind: str) -> None:
    assert front_matter_problems(card, kind) == ([], [])
    assert head(card)["language"] == ["en"]


def test_a_model_says_what_it_is() -> None:
    card = model_card(MODEL)
    found = head(card)
    assert found["license"] == "apache-2.0"
    assert found["base_model"] == "org/tiny"
    assert found["pipeline_tag"] == "text-generation"
    page = Text(body(card)).said
    for wanted in (
        "ollama create horror-135m -f Modelfile", "llama-completion -m horror.q4_k_m.gguf", "21.0000", "5.00% from f16",
        "at most 15.00%", "500 tokens", "The Lamp", "Ada Wren", "gutenberg:900001", "b" * 64, "c" * 64, "no assistant",
        "domain in the USA", "check the law where you are", "was ```shut```\n~~~\n# Not a heading",
    ):  # fmt: skip
        assert wanted in page, wanted
    assert "transformers" in model_card(dataclasses.replace(MODEL, merged=True))


def test_a_dataset_says_what_it_is() -> None:
    found = head(dataset_card(DATASET))
    files = [{"split": "test", "path": "test.parquet"}, {"split": "train", "path": "train.parquet"}]
    assert found["configs"] == [{"config_name": "default", "data_files": files}]
    assert (found["license"], found["license_name"]) == ("other", "public-domain-in-the-usa")
    assert "d" * 64 in dataset_card(DATASET)


def test_nobody_vouches_for_a_book_that_somebody_brought() -> None:
    mixed = dataset_card(dataclasses.replace(DATASET, books=(*BOOKS, UPLOAD)))
    assert head(mixed)["license"] == "unknown"
    assert "2 of the 3 books" in mixed
    assert head(dataset_card(dataclasses.replace(DATASET, topic="")))["license"] == "unknown"
    assert "did not check the rights" in mixed
    own = rights((UPLOAD,), "model")
    assert "public domain" not in own
    assert "public domain" not in rights((), "model")


@pytest.mark.parametrize("card", [model_card(MODEL), dataset_card(DATASET)])
def test_no_card_uses_a_trademark(card: str) -> None:
    assert not re.search(r"project\s+gutenberg|gutenberg™|gutenberg\.org", card, re.IGNORECASE)


def test_hostile_values_stay_values() -> None:
    books = (Book(EVIL, EVIL, EVIL, EVIL, EVIL, EVIL),)
    model = dataclasses.replace(
        MODEL, books=books, topic=EVIL, base_model=EVIL, base_licence=EVIL, samples=[(EVIL, EVIL, EVIL)],
        digests={"dataset": EVIL},
    )  # fmt: skip
    dataset = dataclasses.replace(DATASET, books=books, topic=EVIL, digest=EVIL)
    for card, kind in ((model_card(model), "model"), (dataset_card(dataset), "dataset")):
        assert front_matter_problems(card, kind) == ([], [])
        assert head(card)["license"] != "mit"
        page = body(card)
        assert "<script" not in page
        assert "evil.example" not in "".join(re.findall(r'href="[^"]*"', page))
        assert "Head" not in re.findall(r"<h1>(.*?)</h1>", page)
        assert "<script>alert(1)</script>&amp;" in Text(page).said


@given(st.text(max_size=60))
def test_any_text_reads_as_it_was_written(value: str) -> None:
    shown = Text(HUB.render(markdown.table(("T", "C"), [(markdown.text(value), markdown.code(value))])))
    assert not shown.tags & {"a", "em", "strong", "img", "script", "h1", "li", "blockquote", "s"}
    words = "".join(" ".join(markdown._BREAKS.sub(" ", value).split()).split())
    words = words.encode("utf-8", "replace").decode()
    assert "".join(shown.said.split()).removeprefix("TC") == words * 2


@given(st.text(max_size=80))
def test_any_text_stays_in_its_block(value: str) -> None:
    page = HUB.render(markdown.block(value) + "\n\nafter")
    assert page.count("<pre>") == 1
    assert page.endswith("<p>after</p>\n")


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.text() | st.lists(st.text(min_size=1)), min_size=1))
def test_any_front_matter_is_read_back(fields: dict[str, Any]) -> None:
    found = yaml.safe_load(front_matter(fields).strip("-\n") or "{}") or {}
    cleaned = {k: v for k, v in fields.items() if v}
    assert found == cleaned


@pytest.mark.parametrize(
    ("licence", "fields"),
    [
        ("apache-2.0", {"license": "apache-2.0"}),
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("", {"license": "unknown"}),
        ("My Own Licence!", {"license": "other", "license_name": "my-own-licence"}),
        ("!!!", {"license": "other", "license_name": "other"}),
    ],
)
def test_licences(licence: str, fields: dict[str, str]) -> None:
    assert licence_fields(licence) == fields


@pytest.mark.parametrize(
    ("uri", "hub"),
    [
        ("hf:org/tiny@0123", "org/tiny"),
        ("hf:org/tiny", "org/tiny"),
        ("file:models/tiny", None),
        ("s3:bucket/tiny", None),
        ("hf:../tiny", None),
        ("", None),
    ],
)
def test_the_base_model_on_the_hub(uri: str, hub: str | None) -> None:
    assert hub_model(uri) == hub


def test_languages_are_codes() -> None:
    assert languages(["fr", "en", "English", "", "en", "grc"]) == ["en", "fr", "grc"]


def test_books_are_read_in_any_of_their_forms_and_sorted() -> None:
    value = {"books": [
        {"id": "2", "title": "B", "author": "X", "source": "s"},
        {"uri": "u", "title": "a", "authors": ["Y", "Z"], "languages": ["fr"], "source_sha256": "1"},
        {"id": "gutenberg:9", "title": "c", "source": "https://www.gutenberg.org/ebooks/9"},
        {},
    ]}  # fmt: skip
    found = read_books(value)
    assert [b.title for b in found] == ["", "a", "B", "c"]
    assert found[1] == Book("u", "a", "Y, Z", "u", "1", "fr")
    assert found[3].source == "gutenberg:9"
    assert read_books({"books": value["books"][::-1]}) == found


@pytest.mark.parametrize("value", [None, [], {}, {"books": None}, {"books": [1]}, "books"])
def test_what_is_no_list_of_books_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_books(value)
    assert caught.value.reason == "BAD_REFERENCE"


def test_a_long_list_is_cut_so_that_the_card_fits_a_message() -> None:
    many = [Book(str(n), "T" * 500 + "|" * 500, "🦉" * 300, "s" * 900, "a" * 64) for n in range(3000)]
    shown = table(many)
    assert "more: the whole list is in `books.json`" in shown
    samples = [("p" * 9000, "b" * 9000, "🦉" * 9000)] * 5
    card = model_card(dataclasses.replace(MODEL, books=many, samples=samples))
    assert len(card.encode()) < 48 << 10


def test_equal_facts_give_equal_cards() -> None:
    assert model_card(MODEL) == model_card(dataclasses.replace(MODEL))
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b", model_card(MODEL) + dataset_card(DATASET))
