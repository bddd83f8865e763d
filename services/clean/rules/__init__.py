"""The cleaning rules, in the order in which they are applied. A rule is a file of this folder and a line here."""

from services.clean.rules import (
    contents,
    controls,
    credits,
    footnotes,
    frame,
    illustrations,
    italics,
    lines,
    page_numbers,
    sidenotes,
    transcriber_notes,
)
from services.clean.rules.rule import Rule

# The frame goes first: every later rule that looks "near the start" or "near the end" means of the body. What is cut
# by blocks and lines comes before what edits inside a line, and lines are joined last, when nothing stands between.
RULES: tuple[Rule, ...] = (
    Rule("controls", 1, controls.remove),
    Rule("frame", 1, frame.remove),
    Rule("transcriber_notes", 1, transcriber_notes.remove),
    Rule("credits", 1, credits.remove),
    Rule("illustrations", 1, illustrations.remove),
    Rule("sidenotes", 1, sidenotes.remove),
    Rule("footnotes", 1, footnotes.remove),
    Rule("page_numbers", 1, page_numbers.remove),
    Rule("contents", 1, contents.remove),
    Rule("italics", 1, italics.remove),
    Rule("lines", 1, lines.rejoin),
)
