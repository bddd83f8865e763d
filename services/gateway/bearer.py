"""The bearer token that callers bring (RFC 6750): what a file holds, which may change while the gateway serves."""

import hmac
import logging
import re
from pathlib import Path

from services.common.errors import Unauthenticated

MIN_LENGTH = 16
"""Characters of a token at the least: a shorter one can be guessed."""

_TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")  # b64token of RFC 6750, section 2.1: what a header can carry
_log = logging.getLogger(__name__)


def read_token(file: Path) -> bytes:
    """Reads a token.

    Raises:
        ValueError: there is no such file, it cannot be read, or it holds something else than one token.
    """
    try:
        token = file.read_bytes().strip()
    except OSError as error:
        raise ValueError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    if not token:
        raise ValueError(f"{str(file)!r} is empty; put the token in it")
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            f"{str(file)!r} holds no token: letters, digits and -._~+/ and no spaces, then any number of ="
        )
    if len(token) < MIN_LENGTH:
        raise ValueError(f"{str(file)!r} holds a token of {len(token)} characters; it needs {MIN_LENGTH}")
    return token


class Bearer:
    """The token that callers must bring.

    Args:
        file: holds it. It is read again when it changes, as the file of a rotated Secret does.

    Raises:
        ValueError: as `read_token`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen = self._stamp()
        self._token = read_token(file)

    def token(self) -> bytes:
        """Gives the token as it is now. A file that has become unusable leaves the last token in force."""
        stamp = self._stamp()  # before reading: what is written meanwhile is seen the next time
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._token = read_token(self._file)
                _log.info("the token was read anew")
            except ValueError as error:
                _log.error("the token that was stays in force", extra={"detail": str(error)})
        return self._token

    def check(self, authorization: str | bytes | None) -> None:
        """Checks what a caller brings.

        Args:
            authorization: the header or metadata of that name.

        Raises:
            Unauthenticated: `NO_TOKEN`, `BAD_TOKEN`.
        """
        given = authorization.encode("utf-8", "replace") if isinstance(authorization, str) else authorization or b""
        scheme, _, token = given.strip().partition(b" ")
        if scheme.lower() != b"bearer" or not token.strip():
            raise Unauthenticated("NO_TOKEN", "this gateway asks for a token: send `Authorization: Bearer TOKEN`")
        if not hmac.compare_digest(token.strip(), self.token()):
            raise Unauthenticated("BAD_TOKEN", "the token is not this gateway's, or no longer")

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
