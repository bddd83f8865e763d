"""The files of a model that is none: enough for what brings models in and never loads them."""

import json

import numpy as np
from safetensors.numpy import save

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
WEIGHTS = save({"w": np.arange(300_000, dtype=np.float32)}, {"format": "pt"})
MODEL = {
    "config.json": json.dumps(CONFIG).encode(),
    "generation_config.json": b"{}",
    "tokenizer.json": b'{"model": {}}',
    "tokenizer_config.json": b"{}",
    "model.safetensors": WEIGHTS,
}
"""What is brought in: a config, a tokenizer, and weights of 300,000 parameters."""
