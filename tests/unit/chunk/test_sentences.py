from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chunk import sentences
from services.chunk.sentences import sentence_ends


def split(text: str) -> list[str]:
    ends = [0, *sentence_ends(text), len(text)]
    return [text[start:end] for start, end in pairwise(ends)]


@pytest.mark.parametrize(
    "expected",
    [
        ["One sentence alone."],
        ["No mark at all"],
        ["Mr. Hendry and Dr. Dee came at 3 p.m. on the 4th. ", "It was cold."],
        ["“Count,” he said. ", "“How many did you make it?” ", "He stopped."],
        ["He waited... and waited. ", "Nobody came!  ", "Why?\n", "No one knew."],
        ["J. Lamprey gave notice. ", "He paid 3.5 pounds in all."],
    ],
)
def test_sentences(expected: list[str]) -> None:
    assert split("".join(expected)) == expected


def test_a_paragraph_of_many_blocks_is_cut_as_in_one() -> None:
    sentence = "The lamp was lit, and Dr. Crewe went down to the sea. "
    long = sentence * 5_000
    assert len(long) > 2 * sentences._BLOCK
    assert split(long) == [sentence] * 5_000


def test_a_sentence_longer_than_a_block_stays_whole() -> None:
    long = "word " * 50_000 + "end. "
    assert split("First one. " + long + "Last one.") == ["First one. ", long, "Last one."]


def test_words_that_were_asked_for_are_not_kept() -> None:
    known = sentences._tokenizer()._params.ortho_context
    before = len(known)
    split("He saw Mr. Qwertyzuiop at 3 p.m. Asdfghjkl stayed. He waited ... Zxcvbnm came.")
    assert len(known) == before > 20_000


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([*'.?!…" )’\n', "Mr.", "a", "No ", "e.g. "]) | st.text(max_size=5)).map("".join))
def test_ends_are_in_order_and_no_sentence_is_empty(text: str) -> None:
    ends = sentence_ends(text)
    assert ends == sorted(set(ends))
    assert all(0 < end < len(text) for end in ends)
    if text.strip():
        assert all(one.strip() for one in split(text))
