"""A Llama small enough to train in a test, made as a normal Hugging Face folder.

The tokenizer is a byte-level BPE trained on the text below, with GPT-2's pre-tokenizer, so that a
converter to GGUF that is told `gpt-2` gives the same ids. The weights are random, from a fixed seed.
Two calls with the same arguments write the same bytes.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

END_OF_TEXT = "<|endoftext|>"
VOCABULARY = 512
CONTEXT = 512
"""Longest sequence of the model, in tokens."""

TALE = """\
The miller of Harrow Ford kept one lamp burning in the upper window, and nobody in the village
could say for whom. He ground their corn by day and said little; at night the wheel stood still, the
water went by underneath it, and the lamp looked down the road toward the sea.

"It is for the drowned," said the smith, who had opinions.

"It is for himself," said the schoolmistress. "A man who reads needs light."

But the miller did not read. When the ferryman's daughter climbed the stair one autumn evening, with
a sack of rye on her shoulder and the rain behind her, she found him sitting before an empty chair. A
second cup stood on the table, and the tea in it was warm.

"You have company," she said.

"I have had company for eleven years," said the miller, "and not one of them has asked me a question.
Sit down. The chair is dry, and the road is longer than it looks."

She sat. Under the floor the wheel began, very slowly, to turn; and though she listened for a long
time, she never heard it stop. In the morning there were two lamps in the window, and the village,
which had never agreed on anything, agreed that it had always been so.
"""
"""Text of our own: the tokenizer is trained on it."""


def build_tiny_model(folder: Path, *, hidden: int = 256, layers: int = 2, seed: int = 7) -> None:
    """Write config, tokenizer and safetensors (bfloat16) of a random Llama into `folder`.

    Widths are multiples of 256 with the default `hidden`, so that k-quants have whole blocks.
    """
    disable_progress_bar()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        bos_token_id=end,
        eos_token_id=end,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Wider than the usual 0.02, so that logits differ enough for an argmax to mean something.
        config.initializer_range = 0.1
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TALE], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
