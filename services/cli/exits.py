"""Exit codes of the command, and the errors that lead to them."""

from services.common.errors import BookmillError, InvalidInput, NotFound, Unavailable

OK = 0
"""Done, and verified where there is something to verify."""
FAILED = 1
"""A run failed, was cancelled, or is not verified."""
USAGE = 2
"""An option, an argument or a setting is wrong."""
UNREACHABLE = 3
"""No gateway answers, or a service did not come up."""
DECLINED = 4
"""The gateway declined, for a reason that it gives."""
INTERRUPTED = 130
"""Ctrl-C."""


def code_of(error: BookmillError) -> int:
    """Gives the exit code of an error."""
    if isinstance(error, (InvalidInput, NotFound)):
        return USAGE
    return UNREACHABLE if isinstance(error, Unavailable) else DECLINED
