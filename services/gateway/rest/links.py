"""Links to one file that carry their own permission, for a browser, which sends no token when it downloads.

A page could fetch a file with the token and hand it over as a blob, but a model of many gigabytes would pass through
the page, without the browser's own resuming, and a report would be shown without the headers that confine it. A cookie
would be sent unasked. A link opens one file, to reading, for some minutes; it is signed with the token, so that every
gateway knows it without keeping anything, and a new token ends all of them.
"""

import base64
import hashlib
import hmac
from urllib.parse import parse_qs, quote

from services.common.errors import Unauthenticated

LINK_SECONDS = 600
"""How long after it was made a link may be opened; a download that has begun goes on."""


def signed(path: str, token: bytes, now: float) -> str:
    """Makes a link.

    Args:
        path: of the file, not percent-encoded.
        token: the gateway's.
        now: seconds since 1970.
    """
    expires = str(int(now) + LINK_SECONDS)
    return f"{quote(path)}?expires={expires}&signature={_signature(path, expires, token)}"


def is_link(query: bytes) -> bool:
    """Says whether a query string is that of a link, good or not."""
    return "signature" in parse_qs(query.decode("ascii", "replace"))


def check_link(path: str, query: bytes, token: bytes, now: float) -> None:
    """Checks a link.

    Args:
        path: as asked for, not percent-encoded.
        query: as asked for.
        token: the gateway's.
        now: seconds since 1970.

    Raises:
        Unauthenticated: `BAD_LINK`.
    """
    given = parse_qs(query.decode("ascii", "replace"))
    expires, signature = given.get("expires", [""])[0], given["signature"][0]
    genuine = hmac.compare_digest(signature.encode(), _signature(path, expires, token).encode())
    if not genuine or int(expires) < now:
        raise Unauthenticated("BAD_LINK", "the link has expired or is no link of this gateway's; make a new one")


def _signature(path: str, expires: str, token: bytes) -> str:
    said = f"bookmill link\n{expires}\n{path}".encode()
    return base64.urlsafe_b64encode(hmac.digest(token, said, hashlib.sha256)).decode().rstrip("=")
