"""The adapter as it is published: a PEFT folder whose bytes depend on its content alone."""

import json
from pathlib import Path
from typing import Any

from services.common.canonical import canonical_json

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"


def save_adapter(model: Any, folder: Path, base_model: str) -> None:
    """Writes a PEFT folder of two files.

    PEFT writes the base model's path into its configuration, and sets in an order of their own; both would differ from
    run to run.

    Args:
        model: a PeftModel.
        folder: is made.
        base_model: the SHA-256 of the base model's manifest, which stands in the configuration for its name.
    """
    model.save_pretrained(str(folder), safe_serialization=True)
    for path in folder.iterdir():
        if path.name not in (CONFIG, WEIGHTS):
            path.unlink()
    config = json.loads((folder / CONFIG).read_bytes())
    config["base_model_name_or_path"] = base_model
    # Sets of names, but lists in JSON.
    for field in ("target_modules", "modules_to_save", "exclude_modules"):
        if isinstance(config.get(field), list):
            config[field] = sorted(config[field])
    (folder / CONFIG).write_bytes(canonical_json(config))
