"""The clean service's settings, `BOOKMILL_CLEAN_*`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.clean.cleaning import DEFAULTS, Options


class CleanSettings(BaseSettings):
    """Which books are refused. No setting changes the clean text of a book: the rules and their version do."""

    model_config = SettingsConfigDict(env_prefix="BOOKMILL_CLEAN_", extra="ignore")

    max_characters: int = Field(DEFAULTS.max_characters, ge=1000, le=1_000_000_000)
    """A longer text is refused with `TOO_LONG`."""
    min_characters: int = Field(DEFAULTS.min_characters, ge=1)
    """A text with less prose is refused with `TOO_SHORT` or `ONLY_LICENCE`."""

    def options(self) -> Options:
        """Gives the options of cleaning."""
        return Options(self.max_characters, self.min_characters)
