"""The page of a finished run: one HTML file that loads nothing, made from `summary.json` alone."""

from collections.abc import Mapping
from typing import Any

from services.gateway.report import sections
from services.gateway.report.html import text
from services.gateway.report.style import STYLE

SECTIONS = (
    sections.chain,
    sections.quality,
    sections.samples,
    sections.cleaning,
    sections.books,
    sections.files,
    sections.lineage,
)
"""What the page shows, in order; each gives nothing where its stage was not reached."""

# Values are escaped; should one ever get through, this keeps it from running or fetching anything.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_report(summary: Mapping[str, Any]) -> str:
    """Gives the page of a run.

    Args:
        summary: as `services.gateway.report.summary` makes it; what is missing or odd is left out.
    """
    spec = summary.get("spec")
    topic = spec.get("topic") if isinstance(spec, Mapping) else None
    title = f"{text(topic, 100) or 'Books'} – Bookmill"
    body = "".join(section(summary) for section in SECTIONS)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f"{sections.head(summary)}<main>{body}</main>"
        "<footer>Everything on this page is in summary.json, beside it.</footer></body></html>\n"
    )
