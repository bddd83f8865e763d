"""Settings of the export service, `BOOKMILL_EXPORT_*`; those of publishing are in `publishing_settings`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.jobs.settings import LaunchSettings


class ExportSettings(LaunchSettings):
    """How exports run, and when a model counts as the one that was trained.

    The bounds are `|a/b - 1|` of two perplexities on the same text, at the most.
    """

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_EXPORT_", extra="ignore")

    bound_merged: float = Field(0.02, gt=0)
    """Merged model against adapter on the 16-bit base: they differ by the rounding of weights to 16 bits alone. A merge
    into a 4-bit base is some 10 % off."""
    bound_f16: float = Field(0.02, gt=0)
    """GGUF f16 against merged model: the same numbers in another runtime."""
    bound_quantized: float = Field(0.15, gt=0)
    """A quantised GGUF against GGUF f16. Small models lose most: 4 bits cost one of 135M parameters several per cent,
    one of 8B one or two."""
