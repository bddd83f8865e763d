"""Lists of contents and of illustrations."""

import pytest

from services.clean.rules import contents
from tests.support.gutenberg import BODY

CHAPTERS = f"CHAPTER I\n\nTHE LANE\n\n{BODY}\n\n\n\nCHAPTER II\n\nTHE LAMP\n\n{BODY}"


@pytest.mark.parametrize(
    "listed",
    [
        "CONTENTS\n\nCHAPTER I\nCHAPTER II",
        "Contents\n\n I. The Lane\n II. The Lamp",
        "CONTENTS.\n\n\n                         PAGE\n\nTHE LANE             1\n\nTHE LAMP            17",
        "TABLE OF CONTENTS\n\nThe Lane . . . . . . 1\nThe Lamp . . . . . . 17",
        "CONTENTS\n\nThe Lane\n\nThe Lamp",
        "LIST OF ILLUSTRATIONS\n\n_IN COLOUR_\n\n"
        "He would not take the coin\n  that I held up     _Frontispiece_\n\nThe lamp       12",
        "INHALT\n\nErstes Kapitel ........ 1\nZweites Kapitel ....... 9",
        "CONTENTS\n\nACT I Scene I. A lane. Scene II.\nThe same. Scene III. A house.\n\nACT II Scene I. The house.",
    ],
)
def test_a_list_goes_with_its_heading(listed: str) -> None:
    assert contents.remove(f"{listed}\n\n\n\n{CHAPTERS}").text.strip("\n") == CHAPTERS


def test_the_first_heading_of_the_text_is_not_taken_for_an_entry() -> None:
    text = f"CONTENTS\n\nThe Lane  1\nThe Lamp  9\n\n\nThe Lane\n\n{BODY}\n\nThe Lamp\n\n{BODY}"
    assert contents.remove(text).text.strip("\n").startswith("The Lane\n\nThe carrier")


@pytest.mark.parametrize(
    "text",
    [
        f"CONTENTS\n\n{BODY}",
        "Contents\n\nA lamp in the lane,\nA hand at the door,\nAnd nobody came\nAs they came before.",
        f"Contents\n\nA lamp in the lane\n\nA hand at the door\n\nAnd nobody came\n\nMay, page 3\n\n{BODY}",
        f"The contents of the drawer were few.\n\nI\n\n{BODY}",
    ],
)
def test_what_does_not_prove_to_be_a_list_stays(text: str) -> None:
    assert contents.remove(text).text == text
