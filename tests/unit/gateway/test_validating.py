import pytest
from google.protobuf.json_format import ParseDict

from bookmill.v1 import run_pb2
from services.common.errors import InvalidInput
from services.gateway.limits import OPTIONS
from services.gateway.validating import checked

GOOD = {"topic": "horror", "base_model": "hf:org/name@main"}


def spec(**fields: object) -> run_pb2.RunSpec:
    return ParseDict({**GOOD, **fields}, run_pb2.RunSpec())


def test_defaults_are_filled_in_and_the_asked_for_spec_stays_as_it_was() -> None:
    asked = spec(topic="  Gothic   Horror, naïve ")
    full = checked(asked)
    assert full.topic == "Gothic Horror, naïve"
    assert full.model_name == "gothic-horror-naive"
    assert (full.max_books, list(full.languages), list(full.quantizations)) == (20, ["en"], ["q4_k_m"])
    assert (full.max_characters, full.held_out_fraction, full.parity_tokens) == (7000, 0.1, 2048)
    assert not asked.model_name
    assert checked(full) == full


def test_named_books_need_no_topic_and_no_search() -> None:
    full = checked(spec(topic="", max_books=9, books=[{"uri": "gutenberg:84"}]))
    assert (full.max_books, list(full.languages), full.model_name) == (0, [], "model")


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"topic": ""}, "NO_BOOKS_NAMED", "topic"),
        ({"topic": "x" * 201}, "BAD_TOPIC", "topic"),
        ({"topic": "a\x00b"}, "BAD_TOPIC", "topic"),
        ({"languages": ["english"]}, "BAD_LANGUAGE", "languages"),
        ({"max_books": 10_001}, "BAD_LIMIT", "max_books"),
        ({"max_books": -1}, "BAD_LIMIT", "max_books"),
        ({"max_characters": 199}, "BAD_LIMIT", "max_characters"),
        ({"held_out_fraction": 0.6}, "BAD_FRACTION", "held_out_fraction"),
        ({"held_out_fraction": "NaN"}, "BAD_FRACTION", "held_out_fraction"),
        ({"parity_tokens": 1}, "BAD_LIMIT", "parity_tokens"),
        ({"books": [{"uri": "gutenberg:84"}, {"uri": "guttenberg:84"}]}, "BAD_URI", "books[1].uri"),
        ({"books": [{"uri": "gutenberg:0"}]}, "BAD_URI", "books[0].uri"),
        ({"books": [{"uri": "upload:abc"}]}, "BAD_URI", "books[0].uri"),
        ({"books": [{"uri": "http://host/x"}]}, "BAD_URI", "books[0].uri"),
        ({"books": [{"uri": "https://user@host/x"}]}, "BAD_URI", "books[0].uri"),
        ({"books": [{}]}, "BAD_URI", "books[0].uri"),
        ({"base_model": ""}, "BAD_URI", "base_model"),
        ({"base_model": "org/name"}, "BAD_URI", "base_model"),
        ({"base_model": "hf:name"}, "BAD_URI", "base_model"),
        ({"base_model": "gutenberg:84"}, "BAD_URI", "base_model"),
        ({"quantizations": ["Q4_K_M"]}, "BAD_QUANTISATION", "quantizations"),
        ({"quantizations": [""]}, "BAD_QUANTISATION", "quantizations"),
        ({"model_name": "../x"}, "BAD_MODEL_NAME", "model_name"),
        ({"model_name": "x" * 65}, "BAD_MODEL_NAME", "model_name"),
        ({"hyperparameters": {"lora_rank": -1}}, "BAD_HYPERPARAMETER", "hyperparameters.lora_rank"),
        ({"hyperparameters": {"learning_rate": 2}}, "BAD_HYPERPARAMETER", "hyperparameters.learning_rate"),
        ({"hyperparameters": {"learning_rate": "Infinity"}}, "BAD_HYPERPARAMETER", "hyperparameters.learning_rate"),
        ({"hyperparameters": {"weight_decay": -2}}, "BAD_HYPERPARAMETER", "hyperparameters.weight_decay"),
        ({"hyperparameters": {"precision": "8bit"}}, "BAD_HYPERPARAMETER", "hyperparameters.precision"),
        ({"samples": {"temperature": -1}}, "BAD_OPTION", "samples.temperature"),
        ({"samples": {"prompts": [""]}}, "BAD_OPTION", "samples.prompts"),
        ({"samples": {"prompts": ["x"] * 9}}, "BAD_OPTION", "samples.prompts"),
        ({"publish": {"model_repository": "name"}}, "BAD_REPOSITORY", "publish.model_repository"),
        ({"publish": {"ollama_model": "a b"}}, "BAD_NAME", "publish.ollama_model"),
        ({"books": [{"uri": f"https://host/{'x' * 900}/{n}"} for n in range(40)]}, "SPEC_TOO_LARGE", "books"),
    ],
)
def test_what_is_wrong_is_named_with_its_field(fields: dict, reason: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked(spec(**fields))
    assert (caught.value.reason, caught.value.metadata["field"]) == (reason, field)


@pytest.mark.parametrize(
    "fields",
    [
        {"base_model": "hf:org/name"},
        {"base_model": "file:models/tiny"},
        {"base_model": "s3:bucket/prefix/model"},
        {"base_model": "upload:" + "a" * 64},
        {"books": [{"uri": "file:tales/The tale, of two.txt"}]},
        {"books": [{"uri": "https://host:8080/a?b=c"}]},
        {"books": [{"uri": "s3:bucket/key"}]},
        {"hyperparameters": {"warmup_steps": -1, "weight_decay": -1, "max_steps": 3}},
        {"publish": {"ollama_model": "me/horror:latest", "dry_run": True}},
        {"samples": {"prompts": ["Once"], "temperature": 0.8, "top_p": 1}},
    ],
)
def test_what_is_right_passes(fields: dict) -> None:
    checked(spec(**fields))


def test_a_repeated_quantisation_is_made_once() -> None:
    assert list(checked(spec(quantizations=["q8_0", "q4_k_m", "q8_0"])).quantizations) == ["q8_0", "q4_k_m"]


def test_publishing_nothing_is_no_publishing() -> None:
    assert not checked(spec(publish={"dry_run": True})).HasField("publish")


def test_every_number_of_the_spec_has_a_limit() -> None:
    def numbers(descriptor, prefix=""):
        for field in descriptor.fields:
            if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64, field.CPPTYPE_DOUBLE):
                yield prefix + field.name
            elif field.name in {"hyperparameters", "samples"}:
                yield from numbers(field.message_type, f"{field.name}.")

    assert {limit.field for limit in OPTIONS} == set(numbers(run_pb2.RunSpec.DESCRIPTOR))
