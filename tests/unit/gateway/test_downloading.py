import pytest

from bookmill.v1 import object_pb2, run_pb2
from services.common.errors import NotFound
from services.gateway.downloading import Part, RangeNotSatisfiable, file_of, part_of


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", Part(0, 1)),
        ("bytes=0-99", Part(0, 100)),
        ("bytes=90-1000", Part(90, 10)),
        ("bytes=99-", Part(99, 1)),
        ("bytes=-1", Part(99, 1)),
        ("bytes=-1000", Part(0, 100)),
        ("bytes=-", None),
        ("bytes=5-4", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_ranges(header: str | None, part: Part | None) -> None:
    assert part_of(header, 100) == part


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)])
def test_ranges_that_hold_nothing(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiable) as caught:
        part_of(header, size)
    assert caught.value.metadata["size"] == str(size)


def test_a_file_is_found_by_its_name_alone() -> None:
    reference = object_pb2.ObjectReference(key="models/x", sha256="a" * 64, size_bytes=3)
    run = run_pb2.Run(name="runs/r", files=[run_pb2.RunFile(name="dataset/train.parquet", file=reference)])
    assert file_of(run, "dataset/train.parquet").key == "models/x"
    with pytest.raises(NotFound) as caught:
        file_of(run, "models/x")
    assert caught.value.metadata["choices"] == "dataset/train.parquet"
