"""Prose is joined; verse, lists and headings keep their lines."""

import pytest

from services.clean.rules import lines
from tests.support.gutenberg import BODY, PARAGRAPHS

CONTEXT = "\n\n".join(PARAGRAPHS * 3)


def rejoined(block: str) -> str:
    """The block as it comes out of a book that is wrapped like CONTEXT."""
    text = lines.rejoin(f"{CONTEXT}\n\n{block}\n\n{CONTEXT}\n").text
    count = len(PARAGRAPHS) * 3
    return "\n\n".join(text.rstrip("\n").split("\n\n")[count:-count])


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(PARAGRAPHS[0], PARAGRAPHS[0].replace("\n", " "), id="prose"),
        pytest.param("   " + PARAGRAPHS[1], PARAGRAPHS[1].replace("\n", " "), id="first line indented"),
        pytest.param(
            "    " + PARAGRAPHS[1].replace("\n", "\n    "), PARAGRAPHS[1].replace("\n", " "), id="quotation indented"
        ),
        pytest.param(
            "He broke the line at a pause in the sentence,\nwhich is what the typists of those years did,\n"
            "and went on in lower case.",
            "He broke the line at a pause in the sentence, which is what the typists of those years did, "
            "and went on in lower case.",
            id="ragged prose",
        ),
        pytest.param(
            "The lamp is out, the lane is long,\nThe heath is wide and grey,\nAnd nobody has heard\nThe song today.",
            "The lamp is out, the lane is long,\nThe heath is wide and grey,\nAnd nobody has heard\nThe song today.",
            id="verse",
        ),
        pytest.param(
            "    The lamp is out,\n      The lane is long,\n    And nobody\n      Has heard the song.",
            "The lamp is out,\n  The lane is long,\nAnd nobody\n  Has heard the song.",
            id="indented verse keeps its shape",
        ),
        pytest.param(
            "And the lamp that I had followed through the windows of the building was extinguished,\n"
            "But the hand that I had heard upon the panel of the door was at the panel as before,\n"
            "And the voice that I had waited for was calling from the heath for me to follow, follow,\n"
            "Follow where the road is hollow, and the house has neither window, lamp nor bolted door.",
            "And the lamp that I had followed through the windows of the building was extinguished,\n"
            "But the hand that I had heard upon the panel of the door was at the panel as before,\n"
            "And the voice that I had waited for was calling from the heath for me to follow, follow,\n"
            "Follow where the road is hollow, and the house has neither window, lamp nor bolted door.",
            id="verse as long as prose",
        ),
        pytest.param("CHAPTER I\nThe Lane", "CHAPTER I\nThe Lane", id="heading"),
        pytest.param(
            "Ann Harrow     cook\nTom Lane       groom\nMrs. Vane      widow",
            "Ann Harrow     cook\nTom Lane       groom\nMrs. Vane      widow",
            id="list in columns",
        ),
        pytest.param("*       *       *       *", "*       *       *       *", id="scene break"),
        pytest.param(
            "It was a thing that I had never seen in all the years of my life upon the heath--\nand then it went.",
            "It was a thing that I had never seen in all the years of my life upon the heath--and then it went.",
            id="dash",
        ),
        pytest.param(
            "It was a thing that I had never seen, in all the years on the heath, by candle-\nlight, and so it went.",
            "It was a thing that I had never seen, in all the years on the heath, by candle-light, and so it went.",
            id="compound keeps its hyphen",
        ),
        pytest.param(
            "It was a thing that I had never seen, in all of the years, and the carr-\nier had not seen it.",
            "It was a thing that I had never seen, in all of the years, and the carrier had not seen it.",
            id="divided word that stands whole elsewhere",
        ),
    ],
)
def test_blocks(block: str, expected: str) -> None:
    assert rejoined(block) == expected


def test_a_book_of_short_verse_keeps_all_its_lines() -> None:
    tercets = "\n\n".join(
        ["nel mezzo del cammin di una sera\n  mi ritrovai per una via oscura\n  che la lampada spenta era"] * 8
    )
    assert lines.rejoin(tercets).text == tercets + "\n"


def test_words_are_the_same_before_and_after() -> None:
    assert lines.rejoin(BODY).text.split() == BODY.split()


def test_one_blank_line_stands_between_blocks() -> None:
    assert lines.rejoin("One.\n\n\n\n\nTwo.  \n   \nThree.\n\n").text == "One.\n\nTwo.\n\nThree.\n"
    assert lines.rejoin("").text == ""
