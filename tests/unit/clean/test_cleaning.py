"""A whole book through all the rules: its text, its report, and the books that are refused."""

import pytest

from services.clean.cleaning import VERSION, Options, clean, clean_bytes, require_size
from services.clean.metadata import Metadata
from services.clean.residue import residue
from services.clean.rules import RULES
from services.common.canonical import canonical_json
from services.common.errors import Refused
from tests.support.gutenberg import BODY, HEADER, LICENCE, PARAGRAPHS, SMALL_PRINT, framed

BOOK = framed(
    "Produced by Ann Harrow and the Distributed Proofreaders\n\n\n\n\n"
    "THE LAMP\n\nCONTENTS\n\nI. The Lane   1\nII. The Lamp   9\n\n\n\n\n"
    f"I\n\n[Illustration: A lane]\n\n{PARAGRAPHS[0]}[1]\n\n[Pg 2] {PARAGRAPHS[1]}\n\n"
    f"_Nobody_ came.\n\n[Footnote 1: He did not.]\n\nII\n\n{PARAGRAPHS[2]}"
)
PROSE = "\n\n".join(
    [
        "THE LAMP",
        "I",
        *(p.replace("\n", " ") for p in PARAGRAPHS[:2]),
        "Nobody came.",
        "II",
        PARAGRAPHS[2].replace("\n", " "),
    ]
)


def test_a_book_becomes_its_prose() -> None:
    assert clean(BOOK).text == PROSE + "\n"


def test_the_report_says_what_each_rule_removed() -> None:
    report = clean(BOOK).report
    assert [rule.name for rule in report.rules] == [rule.name for rule in RULES]
    assert (report.version, report.characters_in, report.characters_out) == (VERSION, len(BOOK), len(PROSE) + 1)
    assert sum(rule.characters for rule in report.rules) == report.characters_in - report.characters_out
    removed = {rule.name: (rule.occurrences, rule.examples) for rule in report.rules if rule.occurrences}
    assert removed["credits"] == (1, ("Produced by Ann Harrow and the Distributed Proofreaders",))
    assert removed["illustrations"] == (1, ("[Illustration: A lane]",))
    assert removed["footnotes"] == (2, ("[Footnote 1: He did not.]", "[1]"))
    assert removed["italics"] == (1, ("_Nobody_",))
    assert removed["frame"][0] == 2
    assert all(len(example) <= 80 for _, examples in removed.values() for example in examples)
    assert "sidenotes" not in removed
    assert report.residue == 0.0
    canonical_json(report.to_json())


def test_clean_text_is_not_changed_by_cleaning_it_again() -> None:
    assert clean(PROSE).text == PROSE + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (framed(BODY), Metadata("The Lamp A Tale of the Heath", "Ann Harrow", "English", "May 1, 2004", "900777")),
        (f"{SMALL_PRINT}\n{BODY}", Metadata("The Lamp", "Ann Harrow", "", "May, 1994", "900777")),
        (
            f"Project Gutenberg's The Lamp, by Ann Harrow\n\n{framed(BODY, header='')}",
            Metadata("The Lamp", "Ann Harrow"),
        ),
        (BODY, Metadata()),
    ],
)
def test_the_header_says_what_the_book_is(text: str, expected: Metadata) -> None:
    assert clean(text).report.metadata == expected


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "EMPTY"),
        (b" \r\n\t", "EMPTY"),
        (bytes(range(256)) * 40, "BINARY"),
        (LICENCE.encode(), "ONLY_LICENCE"),
        (HEADER.encode(), "ONLY_LICENCE"),
        (framed("").encode(), "ONLY_LICENCE"),
        (framed("Ann.").encode(), "ONLY_LICENCE"),
        (b"A short tale.", "TOO_SHORT"),
        (b"x" * 60_000_000, "TOO_LONG"),
        (b"\xc3\xa9" * 40_000_000, "TOO_LONG"),
        (b"<html><p>Not a book", "HTML"),
        (b"%PDF-1.4", "PDF"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_what_is_no_book_is_refused_with_its_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(Refused) as refusal:
        clean_bytes(raw)
    assert refusal.value.reason == reason


def test_a_text_is_binary_too() -> None:
    with pytest.raises(Refused, match="BINARY"):
        clean("\x00\x01\x02 lamp " * 100)


def test_a_size_is_enough_to_refuse() -> None:
    require_size(400, Options(max_characters=100))
    with pytest.raises(Refused, match=r"401 bytes.*100 characters"):
        require_size(401, Options(max_characters=100))


def test_limits_are_options() -> None:
    assert clean("A short tale.", Options(min_characters=5)).text == "A short tale.\n"
    with pytest.raises(Refused, match="TOO_LONG"):
        clean(BODY, Options(max_characters=100))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "iso-8859-1"])
def test_bytes_are_decoded_by_themselves(encoding: str) -> None:
    text = f"Désirée saw it.\n\n{BODY}"
    if encoding == "cp1252":
        text += "\n\n“So,” she said."
    assert clean_bytes(text.replace("\n", "\r\n").encode(encoding)).text == clean(text).text


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("The lamp.\n\n*  *  *\n\nThe lane.", 0.0),
        ("The lamp.\n\nProduced for Project Gutenberg", 0.5),
        ("_The_ lamp.", 1.0),
        ("A\nB\nC\nD [Illustration]", 0.25),
        ("", 0.0),
    ],
)
def test_residue_is_the_share_of_suspicious_lines(text: str, share: float) -> None:
    assert residue(text) == share


def test_rule_names_are_unique_and_the_frame_comes_before_what_looks_at_the_ends() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    assert names.index("frame") < min(names.index("credits"), names.index("transcriber_notes"))
    assert names[-1] == "lines"
