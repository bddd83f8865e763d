import json
import logging

from services.common import telemetry


def test_a_line_carries_the_ids_and_the_fields() -> None:
    record = logging.LogRecord("x", logging.INFO, "file", 1, "cleaned %s", ("a book",), None)
    record.characters = 12
    with telemetry.identified(request="r1", run="run1"):
        line = json.loads(telemetry.JsonFormatter("clean").format(record))
    assert {k: line[k] for k in ("service", "message", "request_id", "run_id", "characters")} == {
        "service": "clean",
        "message": "cleaned a book",
        "request_id": "r1",
        "run_id": "run1",
        "characters": 12,
    }
    assert "request_id" not in json.loads(telemetry.JsonFormatter("clean").format(record))


def test_ids_inside_ids() -> None:
    with telemetry.identified(request="outer", run="run"):
        with telemetry.identified(request="inner"):
            assert (telemetry.request_id.get(), telemetry.run_id.get()) == ("inner", "run")
        assert telemetry.request_id.get() == "outer"
