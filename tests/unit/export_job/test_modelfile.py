"""The Modelfile."""

from services.export.job.modelfile import Recipe, modelfile
from services.export.modelfiles import parse


def test_it_completes_and_does_not_chat() -> None:
    text = modelfile(Recipe("tale.q4_k_m.gguf", "<|endoftext|>", 2048, 0.8, 0.95))
    assert text == (
        "FROM ./tale.q4_k_m.gguf\n"
        'TEMPLATE """{{ .Prompt }}"""\n'
        'PARAMETER stop "<|endoftext|>"\n'
        "PARAMETER num_ctx 2048\n"
        "PARAMETER temperature 0.8\n"
        "PARAMETER top_p 0.95\n"
        "PARAMETER top_k 0\n"
        "PARAMETER repeat_penalty 1.0\n"
    )


def test_what_is_sent_to_ollama_says_the_same() -> None:
    sent = parse(modelfile(Recipe("tale.q8_0.gguf", "</s>", 512, 1.0, 1.0)))
    assert sent.template == "{{ .Prompt }}"
    assert sent.parameters == {
        "stop": ["</s>"],
        "num_ctx": 512,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "repeat_penalty": 1.0,
    }


def test_without_an_end_token_there_is_no_stop() -> None:
    assert "stop" not in modelfile(Recipe("tale.q8_0.gguf", None, 512, 1.0, 1.0))
