"""Reading Modelfiles."""

import pytest

from services.common.errors import Corrupt
from services.export.job.modelfile import Recipe, modelfile
from services.export.modelfiles import Modelfile, Value, parse


def test_what_the_exporter_writes_is_read_as_it_was_meant() -> None:
    written = modelfile(Recipe("m.gguf", "<|endoftext|>", 512, 0.8, 0.95))
    found = parse(written)
    assert found.template == "{{ .Prompt }}"
    assert found.system is None
    assert found.parameters["stop"] == ["<|endoftext|>"]
    assert found.parameters["num_ctx"] == 512
    assert found.parameters["temperature"] == 0.8


@pytest.mark.parametrize("end", ["</s>", '"', 'a"b', "# no comment", "<end of text>"])
def test_any_end_token_survives(end: str) -> None:
    assert parse(modelfile(Recipe("m.gguf", end, 512, 0.8, 0.95))).parameters["stop"] == [end]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM ./x\n", Modelfile()),
        ("# comment\n\nfrom x\ntemplate {{ .Prompt }}", Modelfile(template="{{ .Prompt }}")),
        ('TEMPLATE """one\ntwo\n"""\nSYSTEM "be brief"', Modelfile(template="one\ntwo\n", system="be brief")),
        ('TEMPLATE """"""', Modelfile(template="")),
        ("PARAMETER stop a\nPARAMETER stop b c", Modelfile(parameters={"stop": ["a", "b c"]})),
    ],
)
def test_forms(text: str, expected: Modelfile) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("written", "value"),
    [("5", 5), ("-1", -1), ("0.5", 0.5), ("1e-3", 0.001), ("true", True), ("abc", "abc"), ("1.2.3", "1.2.3")],
)
def test_values_have_their_types(written: str, value: Value) -> None:
    found = parse(f"PARAMETER x {written}").parameters["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["ADAPTER ./lora", "nonsense", 'TEMPLATE """never', "MESSAGE user hello"])
def test_what_cannot_be_sent_on_is_refused(text: str) -> None:
    with pytest.raises(Corrupt) as caught:
        parse(text)
    assert caught.value.reason == "BAD_MODELFILE"
