"""The wish to stop, as SIGTERM brings it."""

import signal


class StopFlag:
    """Turns on once and stays on."""

    # A plain attribute: a lock, as in threading.Event, could be held by the very code that the signal interrupts.
    def __init__(self) -> None:
        self._requested = False

    @property
    def requested(self) -> bool:
        """Whether the program was asked to stop."""
        return self._requested

    def request(self) -> None:
        """Asks the program to stop."""
        self._requested = True


def stop_on_signals() -> StopFlag:
    """Gives a flag that SIGTERM and SIGINT turn on. Only the main thread may call it.

    A second signal changes nothing: whoever cannot wait sends SIGKILL.
    """
    flag = StopFlag()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: flag.request())
    return flag
