"""Sidenotes that the transcriber set into the text: [Sidenote: Of the river.] They interrupt sentences."""

import re

from services.clean.rules.rule import Outcome, without_matches

# Sidenote and its like in the margin; nested brackets do not occur in them, and a paragraph end closes an open one.
_MARK = re.compile(r"\[(?:side-?note|margin(?:al)? ?note|headnote|heading|page heading)s?\b[^\[\]]{0,2000}\]", re.I)


def remove(text: str) -> Outcome:
    """Takes out sidenotes."""
    return without_matches(text, _MARK)
