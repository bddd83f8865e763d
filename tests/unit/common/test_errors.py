import pickle

import pytest

from services.common.errors import ERRORS, BookmillError, Refused
from services.common.server import to_status


def test_every_class_has_a_code_of_its_own() -> None:
    assert len({e.code for e in ERRORS}) == len(ERRORS)
    assert set(ERRORS) == set(BookmillError.__subclasses__())


@pytest.mark.parametrize("reason", ["no_topic", "NO TOPIC", "", "9LIVES", "A" * 64])
def test_a_reason_is_upper_snake(reason: str) -> None:
    with pytest.raises(ValueError, match="UPPER_SNAKE_CASE"):
        Refused(reason, "message")


def test_an_error_crosses_from_a_worker_whole() -> None:
    error = pickle.loads(pickle.dumps(Refused("ONLY_LICENCE", "nothing but a licence", book="84")))
    assert isinstance(error, Refused)
    assert (error.reason, error.message, error.metadata) == ("ONLY_LICENCE", "nothing but a licence", {"book": "84"})


def test_a_status_stays_small_enough_for_headers() -> None:
    assert to_status(Refused("X_Y", "m" * 9000, choices="c" * 9000)).ByteSize() < 6000
