"""Header, licence and their many markers."""

import pytest

from services.clean.rules import frame
from tests.support.gutenberg import BODY, HEADER, LICENCE, SMALL_PRINT, framed


def body_of(text: str) -> str:
    return frame.remove(text).text.strip("\n")


@pytest.mark.parametrize(
    "start",
    [
        "*** START OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***",
        "*** START OF THE PROJECT GUTENBERG EBOOK 900777 ***",
        "***START OF THE PROJECT GUTENBERG EBOOK THE LAMP***",
        "*** START OF THE PROJECT GUTENBERG EBOOK, THE LAMP ***",
        "*** START OF THIS PROJECT GUTENBERG EBOOK\nTHE LAMP, A TALE OF\nTHE HEATH ***",
        "***START OF THE PROJECT GUTENBERG EBOOK THE LAMP, A TALE OF THE HEATH AND\nOF THE ROAD***",
        "*** START OF THE PROJECT GUTENBERG EBOOK THE LAMP",
        "*** START OF THE COPYRIGHTED PROJECT GUTENBERG EBOOK THE LAMP ***",
    ],
)
def test_every_start_marker_ends_the_header(start: str) -> None:
    assert body_of(framed(BODY, start=start)) == BODY


@pytest.mark.parametrize(
    "end",
    [
        "*** END OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***",
        "            *** END OF THE PROJECT GUTENBERG EBOOK THE LAMP ***",
        "***END OF THE PROJECT GUTENBERG EBOOK THE LAMP, A TALE OF THE HEATH AND\nOF THE ROAD***",
        "End of Project Gutenberg's The Lamp, by Ann Harrow\n\n*** END OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***",
        "End of the Project Gutenberg EBook of The Lamp, by Ann Harrow",
        '"End of this Project Gutenberg Etext of The Lamp"',
        "The end of The Project Gutenberg Etext of The Lamp",
        'Ende dieses Projekt Gutenberg Etextes "Die Lampe"',
        "Fin du livre La Lampe, Project Gutenberg",
        "{The end of etext of The Lamp}",
        "End of this is COPYRIGHTED Project Gutenberg Etext",
        "More information about this book is at the top of this file.",
        "***** This file should be named 900777.txt or 900777.zip *****",
        "",
    ],
)
def test_every_end_marker_begins_the_licence(end: str) -> None:
    assert body_of(framed(BODY, end=end)) == BODY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"{SMALL_PRINT}\n\n{BODY}\n", BODY, id="1990s, no footer"),
        pytest.param(SMALL_PRINT.replace("*END*THE", "*END THE") + f"\n{BODY}\n", BODY, id="without an asterisk"),
        pytest.param(f"{BODY}\n", BODY, id="no frame at all"),
        pytest.param(f"{HEADER}\n\n{BODY}\n", BODY, id="header without a marker"),
        pytest.param(framed(BODY, header="", start=""), BODY, id="footer alone"),
        pytest.param(framed(BODY, header="", start="", end=""), BODY, id="licence alone"),
        pytest.param(framed(f"{SMALL_PRINT}\n{BODY}"), BODY, id="small print behind the marker"),
        pytest.param(framed(BODY, licence=SMALL_PRINT), BODY, id="small print behind the book"),
        pytest.param(framed("", header=SMALL_PRINT, end="", licence=BODY, start=""), BODY, id="small print as header"),
        pytest.param(
            framed(f"{BODY}\n\nEnd of Volume I of Project Gutenberg's The Lamp\n\n" + f"{BODY}\n\n" * 60),
            f"{BODY}\n\nEnd of Volume I of Project Gutenberg's The Lamp\n\n" + "\n\n".join([BODY] * 60),
            id="a volume ends in the middle",
        ),
        pytest.param("", "", id="empty"),
    ],
)
def test_frames_without_the_usual_markers(text: str, expected: str) -> None:
    assert body_of(text) == expected


def test_two_books_in_one_file_lose_the_frame_between_them() -> None:
    text = framed("First tale.") + framed("Second tale.")
    assert body_of(text).split() == ["First", "tale.", "Second", "tale."]


def test_the_banner_before_each_part_goes() -> None:
    text = f"{SMALL_PRINT}\nOne.\n\n**The Project Gutenberg Etext of The Lamp, Part 2**\n\nTwo.\n"
    assert body_of(text).split() == ["One.", "Two."]


@pytest.mark.parametrize("text", [LICENCE, HEADER, SMALL_PRINT, framed("")])
def test_a_frame_with_no_book_leaves_nothing(text: str) -> None:
    assert body_of(text) == ""


@pytest.mark.parametrize(
    "sentence",
    [
        "The end of the project was near; Gutenberg had printed his last sheet.",
        "He read the small print by the lamp.",
        "*** It was the end of the road. ***",
    ],
)
def test_a_sentence_of_the_book_is_no_marker(sentence: str) -> None:
    body = f"{BODY}\n\n{sentence}\n\n{BODY}"
    assert body_of(framed(body)) == body
