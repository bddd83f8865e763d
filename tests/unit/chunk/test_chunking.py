import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chunk import chunking
from services.chunk.chunking import chunk
from services.chunk.paragraphs import paragraphs
from services.chunk.sentences import sentence_ends
from services.common.errors import Refused

SENTENCE = "The lamp was lit, and Dr. Crewe went down to the sea. "  # 54 characters


@pytest.mark.parametrize(
    ("name", "text", "limit", "expected"),
    [
        ("fits", "One.\n\nTwo.\n", 200, ["One.\n\nTwo.\n"]),
        ("fits to the character", "One. Two. Tri.\n", 15, ["One. Two. Tri.\n"]),
        ("at a paragraph", "A b c.\n\nD e f.\n\nG h i.\n", 16, ["A b c.\n\nD e f.\n\n", "G h i.\n"]),
        ("no heading at the end", "A b c.\n\nII\n\nD e f g h.\n", 12, ["A b c.\n\n", "II\n\n", "D e f g h.\n"]),
        ("heading with its text", "A b c d e.\n\nII\n\nD e.\n", 18, ["A b c d e.\n\n", "II\n\nD e.\n"]),
        ("at a sentence", "Aa bb cc. Dd ee ff. Gg hh.\n", 20, ["Aa bb cc. Dd ee ff. ", "Gg hh.\n"]),
        ("not at an abbreviation", "He saw Mr. Pell. She saw Dr. Dee.", 24, ["He saw Mr. Pell. ", "She saw Dr. Dee."]),
        (
            "a long sentence stays whole",
            "One. " + "word " * 9 + "end. Two.",
            20,
            ["One. ", "word " * 9 + "end. ", "Two."],
        ),
        ("quotes belong to their sentence", '"Go!" he said. "No." It fell.', 22, ['"Go!" he said. "No." ', "It fell."]),
        ("white space ahead", "\n\n  One two.\n\nTri.\n", 16, ["\n\n  One two.\n\n", "Tri.\n"]),
    ],
)
def test_cuts(name: str, text: str, limit: int, expected: list[str]) -> None:
    assert chunk(text, limit) == expected, name


def test_chunks_are_about_as_long_as_the_limit() -> None:
    paragraph = SENTENCE * 9 + "\n\n"
    lengths = [len(one) for one in chunk(paragraph * 200)]
    assert all(6_400 < length <= 7_000 for length in lengths[:-2])
    assert min(lengths) >= 7_000 // 4


def test_the_last_chunk_is_no_scrap() -> None:
    text = (SENTENCE.strip() + "\n\n") * 130  # 7,150 characters: 7,000 and a scrap, if one were greedy
    assert [len(one) > 1_700 for one in chunk(text)] == [True, True]


def test_a_paragraph_longer_than_the_limit_is_cut_at_its_sentences() -> None:
    chunks = chunk(SENTENCE * 1_000)
    assert all(6_900 < len(one) <= 7_000 for one in chunks[:-2])
    assert all(one.endswith("sea. ") for one in chunks)


def test_verse_is_cut_between_stanzas_that_close() -> None:
    stanza = "O who will tend the lamp, my love,\nAnd who will trim the flame,\n\nWhen every wave\nIs calling thee?\n\n"
    assert all(one.endswith("thee?\n\n") for one in chunk(stanza * 30, 400))


@pytest.mark.parametrize("text", ["", " ", "\n\n\t\n", "\u2003\n"])
def test_nothing_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        chunk(text)
    assert refusal.value.reason == "EMPTY"


def test_one_endless_sentence_is_refused() -> None:
    with pytest.raises(Refused, match="no prose") as refusal:
        chunk("word " * 12_000_000)
    assert refusal.value.reason == "TOO_LONG"
    assert len(chunk("word " * (chunking.LONGEST_SENTENCE // 5))) == 1


@pytest.mark.parametrize(
    "unit",
    [SENTENCE, "He went home\n\n", "a.b\n\n", "And O\nthe sea,\n\n", "x\n\n\n\n\n\n", "What?! No...\n", "a\u2028b. "],
)
def test_time_is_linear(unit: str) -> None:
    # A text on one line, or of thousands of paragraphs, takes about as many times longer as it is longer.
    small, large = unit * (10_500 // len(unit)), unit * (168_000 // len(unit))
    chunk(small)
    seconds = [_seconds(small), _seconds(large)]
    assert seconds[1] < 16 * 4 * seconds[0] + 0.5


def _seconds(text: str) -> float:
    begun = time.process_time()
    assert "".join(chunk(text)) == text
    return time.process_time() - begun


# Texts in which everything that matters to a cut is frequent.
pieces = st.sampled_from(
    [
        "word",
        "Mr.",
        "No",
        "CHAPTER IV.",
        ".",
        "?",
        "!",
        "…",
        '"',
        "”",
        ")",
        "_",
        "\n",
        "\n\n",
        "\n \n",
        " ",
        "  ",
        "\r\n",
    ]
)
texts = st.lists(pieces | st.text(max_size=8), max_size=120).map("".join)


@settings(max_examples=300, deadline=None)
@given(texts, st.integers(5, 80))
def test_chunks_joined_are_the_text_and_keep_the_limit(text: str, limit: int) -> None:
    if not text.strip():
        with pytest.raises(Refused):
            chunk(text, limit)
        return
    chunks = chunk(text, limit)
    assert "".join(chunks) == text
    assert all(one.strip() for one in chunks)
    places = _places(text)
    offset = 0
    for one in chunks:
        end = offset + len(one)
        assert end in places
        if len(one) > limit:
            assert not any(offset < place < end for place in places), "a longer one is one sentence"
        offset = end


def _places(text: str) -> set[int]:
    """Every end of a paragraph and of a sentence."""
    places, start = set(), 0
    for paragraph in paragraphs(text):
        places |= {start + end for end in sentence_ends(text[start : paragraph.end])} | {paragraph.end}
        start = paragraph.end
    return places


@settings(max_examples=300, deadline=None)
@given(texts.filter(str.strip))
def test_paragraphs_joined_are_the_text(text: str) -> None:
    ends = [paragraph.end for paragraph in paragraphs(text)]
    assert ends[-1] == len(text)
    assert ends == sorted(set(ends))
    assert all(re.search(r"\n\s*\n\s*\Z", text[:end]) for end in ends[:-1])
    assert all(text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False))


@pytest.mark.parametrize(
    ("paragraph", "closes"),
    [
        ("He went home.", True),
        ("He went home!”", True),
        ("“Did he?”)_", True),
        ("He said:", False),
        ("And all the way,", False),
        ("CHAPTER IV.", False),
        ("Chapter 4. The Gate.", False),
        ("THE END.", False),
        ("NO ONE HAD EVER SEEN THE LIKE OF IT, OR HEARD OF IT; AND THAT IS ALL THAT THE STONE SAYS OF HIM.", True),
        ("* * *", False),
    ],
)
def test_which_paragraphs_close_a_sentence(paragraph: str, closes: bool) -> None:
    assert [p.closes for p in paragraphs(f"{paragraph}\n\nNext\n")] == [closes, False]
