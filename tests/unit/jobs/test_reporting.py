import json
import logging

from services.common.telemetry import JsonFormatter
from services.jobs.reporting import LOG_BYTES, Logbook


def test_a_logbook_keeps_the_end() -> None:
    book = Logbook(JsonFormatter("train"))
    log = logging.Logger("x")
    log.addHandler(book)
    for number in range(3000):
        log.warning("%d %s", number, "x" * 200)
    lines = book.lines()
    assert 0.9 * LOG_BYTES < sum(map(len, lines)) <= LOG_BYTES
    assert book.written == 3000
    assert json.loads(lines[-1])["message"].startswith("2999 ")
