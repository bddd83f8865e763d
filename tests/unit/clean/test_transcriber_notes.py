"""What transcribers say of their text."""

import pytest

from services.clean.rules import transcriber_notes
from tests.support.gutenberg import BODY

LONG = "\n\n".join([BODY] * 12)


@pytest.mark.parametrize(
    "note",
    [
        "[Transcriber's Note: This etext was produced from Odd Tales, March 1922.\nNo renewal was found.]",
        "[Transcriber’s Note:\n\n  Dashes vary [as here]; so do quotes.\n\n  Braces } stand for one.]",
        "[TranscriberaEuro(TM)s Note: Spelling is kept.]",
        "[Redactor's note: Italics are in underscores.]",
        "[This e-text includes characters that need UTF-8.]",
        "+-------------------------------+\n| Transcriber's Note:           |\n| Obvious errors are corrected. |\n"
        "+-------------------------------+",
        "Transcriber's Note\n\nObvious typographical errors have been corrected.\n\nHyphenation was standardised.",
        "TRANSCRIBERS' NOTES:\n\nSpelling retained as in the original.",
        "NOTES BY THE E-TEXT EDITOR:\n\nFootnotes: they are at the ends of chapters.",
    ],
)
def test_a_note_before_the_book_goes(note: str) -> None:
    outcome = transcriber_notes.remove(f"{note}\n\n\n\n\nTHE LAMP\n\n{LONG}")
    assert outcome.text.strip("\n") == f"THE LAMP\n\n{LONG}"


@pytest.mark.parametrize(
    "note",
    [
        "Transcriber's Note:\n\nThe following typographical errors were corrected:\n\nPage 3: teh changed to the\n\n"
        "Page 9: lapm changed to lamp",
        "Typographical errors corrected by the etext transcriber:\n\nteh=> the {pg 68}\n\nlapm=> lamp {pg 70}",
        "Transcriber's Notes\n\n- The errata in the back are original.\n- 12.png: normalised spelling.",
        "ETEXT EDITOR'S BOOKMARKS:\n\nA lamp is a friendly thing\nNobody answered",
    ],
)
def test_a_note_behind_the_book_goes_to_the_end(note: str) -> None:
    outcome = transcriber_notes.remove(f"{LONG}\n\nTHE END\n\n\n{note}\n\n")
    assert outcome.text.strip("\n") == f"{LONG}\n\nTHE END"


def test_a_note_in_the_middle_takes_nothing_with_it() -> None:
    text = f"{LONG}\n\n[Transcriber's note: a page is missing.]\n\n{LONG}"
    assert transcriber_notes.remove(text).text.split("\n\n") == [*LONG.split("\n\n"), "", *LONG.split("\n\n")]


def test_a_note_before_text_without_a_gap_takes_only_what_speaks_of_the_text() -> None:
    note = "Scanner's Notes: The long s was changed.\n\nIf you find errors in this etext, write to me."
    tale = "\n\n".join([BODY] * 8)
    assert transcriber_notes.remove(f"{note}\n\nTHE LAMP\n\n{tale}").text.strip("\n") == f"THE LAMP\n\n{tale}"


def test_a_heading_late_in_a_book_does_not_take_the_rest_of_the_tale() -> None:
    text = f"{LONG}\n\nTranscriber's note: two lines are illegible here.\n\nThe last page.\n\n{BODY}"
    assert transcriber_notes.remove(text).text.strip("\n").endswith(f"The last page.\n\n{BODY}")


@pytest.mark.parametrize("sentence", ["The transcriber sighed, and took a note.", "[He paused.]", "A note on lamps."])
def test_sentences_of_the_book_stay(sentence: str) -> None:
    text = f"{sentence}\n\n{LONG}"
    assert transcriber_notes.remove(text).text == text
