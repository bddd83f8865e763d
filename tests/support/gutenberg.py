"""Texts in the form of Project Gutenberg's files, of our own words."""

PARAGRAPHS = (
    "The carrier set me down where the road forks, and turned his horse before I had both\n"
    "feet on the ground. He would not take the coin that I held up to him, and said that\n"
    "it could wait until he came by again on Friday, if he came by.",
    "There was a house at the end of the lane, with a lamp in one window. I remember that\n"
    "it seemed to me a friendly thing to see, after eleven miles of heath, and I walked up\n"
    "to it faster than I had walked all day.",
    "Nobody answered. I knocked again, with the handle of my stick, and while I stood there\n"
    "the lamp went from that window to the next one, and from that to the next, as though\n"
    "somebody carried it from room to room to be farther from the door.",
)

BODY = "\n\n".join(PARAGRAPHS)

LICENCE = "Updated editions will replace the previous one--the old editions will\nbe renamed.\n" + "\n".join(
    f"1.{letter}.  You may copy it, or give it away, under the terms of this agreement." for letter in "ABCDEF"
)

HEADER = (
    "The Project Gutenberg EBook of The Lamp, by Ann Harrow\n\n"
    "This eBook is for the use of anyone anywhere at no cost and with\n"
    "almost no restrictions whatsoever.\n\n"
    "Title: The Lamp\n  A Tale of the Heath\n\nAuthor: Ann Harrow\n\n"
    "Release Date: May 1, 2004 [EBook #900777]\n\nLanguage: English\n\nCharacter set encoding: ASCII\n"
)

SMALL_PRINT = (
    "**The Project Gutenberg Etext of The Lamp, by Ann Harrow**\n\n"
    "Please take a look at the important information in this header.\n\n"
    "May, 1994  [Etext #900777]\n\n"
    "***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\n"
    "Why is this here? You know: lawyers.\n\n"
    "*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n"
)


def framed(
    body: str,
    *,
    header: str = HEADER,
    start: str = "*** START OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***",
    end: str = "*** END OF THIS PROJECT GUTENBERG EBOOK THE LAMP ***",
    licence: str = LICENCE,
) -> str:
    """A body in a frame; an empty part is left out."""
    return "\n\n".join(part for part in (header, start, body, end, licence) if part) + "\n"
