"""Marks inside the text: illustrations, sidenotes, footnotes, pages, type, characters that print nothing."""

import pytest

from services.clean.rules import controls, footnotes, illustrations, italics, page_numbers, sidenotes
from services.clean.rules.rule import Apply


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        (illustrations.remove, "a [Illustration] b", "a  b"),
        (illustrations.remove, "a\n\n[Illustration: _A lamp_ [see p. 3]\n\nin the window]\n\nb", "a\n\n\n\nb"),
        (illustrations.remove, '[Illustration: "The ring."][1] b', " b"),
        (illustrations.remove, "[Picture: The lane] b", " b"),
        (illustrations.remove, "[Illustratie: De lamp] b", " b"),
        (illustrations.remove, "[Abbildung 3: Die Lampe] b", " b"),
        (illustrations.remove, "THE LAMP\n\ncover \n\nb", "THE LAMP\n\n\n\nb"),
        (illustrations.remove, "[Illustration: never closed\nb", "[Illustration: never closed\nb"),
        (illustrations.remove, "[Imagine that] b", "[Imagine that] b"),
        (sidenotes.remove, "a [Sidenote: Of the\nlamp.] b", "a  b"),
        (sidenotes.remove, "a [Aside] b", "a [Aside] b"),
        (footnotes.remove, "the lamp[1] and[12a] the lane.[A]", "the lamp and the lane."),
        (footnotes.remove, "the lamp [*] and [iv] so", "the lamp and so"),
        (footnotes.remove, "a\n\n[Footnote 1: See [Lane], p. 3.\n\nAnd so on.]\n\nb", "a\n\n\n\nb"),
        (footnotes.remove, "a\n\n[Footnote 1: a stray [ bracket]\n\nb", "a\n\n\n\nb"),
        (footnotes.remove, "FOOTNOTES:\n\n[1] It was so.", "\n\n It was so."),
        (footnotes.remove, "Footnote 3: It was so.", "It was so."),
        (footnotes.remove, "in [1897] th[e] [t]he [sic] f[x](y)", "in [1897] th[e] [t]he [sic] f[x](y)"),
        (page_numbers.remove, "a [Pg 12] b {13} c [Page xii] d {pg 14} e [p. 3]", "a b c d e"),
        (page_numbers.remove, "a [Pg012] b [Pg: 3]", "a b"),
        (page_numbers.remove, "a\n\n- 12 -\n\nb\n\nPage 13\n\nc", "a\n\n\nb\n\n\nc"),
        (page_numbers.remove, "C{2}HCl{3} w{i}th {one}", "C{2}HCl{3} w{i}th {one}"),
        (page_numbers.remove, "1\n\nThe lamp.\n\n2\n\nThe lane.", "1\n\nThe lamp.\n\n2\n\nThe lane."),
        (italics.remove, "the _lamp_ and _the\nlane_, _so_", "the lamp and the\nlane, so"),
        (italics.remove, "_One._\n\n_Two_ and _never closed", "One.\n\nTwo and _never closed"),
        (italics.remove, "with _so _that, =bold= ~wide~ <i>old</i>", "with so that, bold wide old"),
        (italics.remove, "Mr. ____ of snake_case_name, a = b = c", "Mr. ____ of snake_case_name, a = b = c"),
        (controls.remove, "\ufeffa\xa0b\x0cc\xadd\u200be\x00", "a b\ncde"),
        (controls.remove, "tab\tand\nline", "tab\tand\nline"),
    ],
)
def test_marks_go_and_words_stay(rule: Apply, text: str, expected: str) -> None:
    assert rule(text).text == expected


def test_bare_numbers_inside_sentences_are_page_numbers() -> None:
    pages = "".join(f"the lamp went\n\n{number}\n\nfrom room to room, and\n\n" for number in range(11, 20))
    assert not any(character.isdigit() for character in page_numbers.remove(pages).text)


def test_what_was_taken_out_is_told() -> None:
    assert footnotes.remove("the lamp[1]\n\n[Footnote 1: So.]").removed == ["[Footnote 1: So.]", "[1]"]
