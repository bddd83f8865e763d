"""Packing loses no token and leaves none alone."""

from hypothesis import given
from hypothesis import strategies as st

from services.evaluation.texts import windows
from services.train.job.data import pack

texts = st.lists(st.lists(st.integers(1, 9), max_size=40), max_size=8)
starts = st.sampled_from([None, 0])


@given(texts=texts, length=st.integers(3, 12), start=starts)
def test_every_token_is_in_one_sequence(texts: list[list[int]], length: int, start: int | None) -> None:
    stream = [token for text in texts for token in text]
    sequences = list(pack(texts, length, start))
    head = [] if start is None else [start]
    assert all(sequence[: len(head)] == head for sequence in sequences)
    assert [token for sequence in sequences for token in sequence[len(head) :]] == stream
    # The last one is the shorter; the one before it gives a token up where the last would have nothing to predict.
    assert all(len(sequence) == length for sequence in sequences[:-2])
    assert all(len(sequence) >= length - 1 for sequence in sequences[:-1])
    if len(stream) > 1:
        assert all(2 <= len(sequence) <= length for sequence in sequences)


@given(texts=texts, length=st.integers(3, 12), start=starts)
def test_packing_is_the_windows_of_the_whole(texts: list[list[int]], length: int, start: int | None) -> None:
    stream = [token for text in texts for token in text]
    assert list(pack(texts, length, start)) == list(windows(stream, length, start))


def test_a_single_token_is_never_alone() -> None:
    assert list(windows([1, 2, 3, 4, 5], 4)) == [[1, 2, 3], [4, 5]]
    assert list(windows([1, 2, 3, 4, 5], 4, start=0)) == [[0, 1, 2, 3], [0, 4, 5]]
    assert list(windows([1, 2, 3, 4], 4, start=0)) == [[0, 1, 2, 3], [0, 4]]
