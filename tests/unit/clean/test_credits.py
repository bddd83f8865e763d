"""Who made the electronic text."""

import pytest

from services.clean.rules import credits
from tests.support.gutenberg import BODY


@pytest.mark.parametrize(
    "credit",
    [
        "Produced by Ann Harrow and PG Distributed Proofreaders",
        "Produced by Ann Harrow and the Online\nDistributed Proofreading Team at http://www.pgdp.net (This file was\n"
        "produced from images generously made available by The\nInternet Archive)",
        "E-text prepared by Ann Harrow",
        "This etext was prepared by Ann Harrow <ann@example.org>.",
        "This eBook was produced by Ann Harrow.",
        "This ebook was transcribed by Ann Harrow.",
        "Transcribed from the 1894 Lane and Sons edition by Ann Harrow, email ann@example.org",
        "Scanned and proofed by Ann Harrow (www.example.org)",
        "Etext reformatted by Ann Harrow\nann@example.org",
        "This book prepared by:\nAnn Harrow\nann@example.org",
        "HTML version by Ann Harrow.",
        "Produced by: Ann Harrow",
        "Text file produced by Ann Harrow",
        "Credits: Ann Harrow and the proofreaders",
        "Note: Project Gutenberg also has an HTML version of this\n      file which includes the illustrations.",
        "Note: Images of the original pages are available through\n      Internet Archive.",
        "The Project Gutenberg Etext of The Lamp\nby Ann Harrow",
        "Title: The Lamp\nEncoding: ISO-8859-1",
        "There is an improved edition of this title, which may be viewed as eBook (#900778).",
        "This etext was prepared by Ann Harrow, who adds:\n" + "\n".join(["A line of her remarks."] * 20),
    ],
)
@pytest.mark.parametrize("place", ["before", "behind"])
def test_credits_at_either_end_go(credit: str, place: str) -> None:
    text = f"{credit}\n\n\nTHE LAMP\n\n{BODY}" if place == "before" else f"THE LAMP\n\n{BODY}\n\n\n{credit}"
    outcome = credits.remove(text)
    assert outcome.text.strip("\n") == f"THE LAMP\n\n{BODY}"
    assert outcome.removed == [credit]


@pytest.mark.parametrize(
    "block",
    [
        "Edited by\nJ. H. Lane",
        "By Ann Harrow",
        "Published by Lane and Sons, London",
        "The images were occasional, and the dream went on.",
        "He scanned the heath, and saw\nnobody.",
        "A preface on proofreading\n" + "\n".join(["of more than a few lines"] * 8),
        "Copyright, 1897, in the United States of America",
    ],
)
def test_the_title_page_stays(block: str) -> None:
    text = f"THE LAMP\n\n{block}\n\n{BODY}"
    assert credits.remove(text).text == text


def test_the_middle_of_a_book_is_not_looked_at() -> None:
    long = "\n\n".join([BODY] * 40)
    for sentence in ("Prepared by the cook, the soup was cold.", "She was proofreading the Internet Archive."):
        text = f"{long}\n\n{sentence}\n\n{long}"
        assert credits.remove(text).text == text


def test_a_preface_signed_by_project_gutenberg_goes_whole() -> None:
    text = (
        f"Notes on the errors below\n\nMore of them.\n\nA. Director\nProject Gutenberg\nExecutive Director\n\n\n{BODY}"
    )
    assert credits.remove(text).text.strip("\n") == BODY
