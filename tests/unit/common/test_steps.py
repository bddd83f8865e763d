from bookmill.v1 import clean_pb2, object_pb2, train_pb2
from services.common.steps import Step, references

_TEXT = object_pb2.ObjectReference(key="books/raw/ab", sha256="ab", size_bytes=2)
_STEP = Step("clean_book", 1)


def test_what_steers_a_call_is_not_part_of_its_key() -> None:
    plain = _STEP.key(clean_pb2.CleanBookRequest(text=_TEXT))
    assert _STEP.key(clean_pb2.CleanBookRequest(text=_TEXT, request_id="again")) == plain
    spec = train_pb2.TrainingSpec(dataset=_TEXT)
    asked = Step("train_model", 1).key(train_pb2.CreateTrainingJobRequest(spec=spec))
    again = train_pb2.CreateTrainingJobRequest(spec=spec, retry=True, validate_only=True, request_id="x")
    assert Step("train_model", 1).key(again) == asked


def test_step_version_and_content_are() -> None:
    request = clean_pb2.CleanBookRequest(text=_TEXT)
    other = clean_pb2.CleanBookRequest(text=object_pb2.ObjectReference(key="books/raw/cd", sha256="cd", size_bytes=2))
    keys = {_STEP.key(request), Step("clean_book", 2).key(request), Step("other", 1).key(request), _STEP.key(other)}
    assert len(keys) == 4


def test_a_key_is_pinned() -> None:
    # A change of the canonical form would lose every record there is.
    expected = "c2150fe7"
    assert _STEP.key(clean_pb2.CleanBookRequest(text=_TEXT)).startswith(expected)


def test_references_are_found_at_any_depth() -> None:
    result = train_pb2.TrainingJob(
        spec=train_pb2.TrainingSpec(dataset=_TEXT), result=train_pb2.TrainingResult(adapter=_TEXT, report=_TEXT)
    )
    assert len(list(references(result))) == 3
