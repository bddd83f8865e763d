"""The quantisations there are. To add one, add a row."""

from libgguf import GGMLQuantizationType as Kind

from services.export.job.quantizations.rules import Quantization, first_eighth, first_layers, some_layers
from services.jobs.exits import BadConfiguration

F16 = "f16"
"""Name of the 16-bit file that is always made, and that quantised ones are made from."""

QUANTIZATIONS = (
    Quantization("q4_0", 2, Kind.Q4_0),
    Quantization("q4_1", 3, Kind.Q4_1),
    Quantization("q5_0", 8, Kind.Q5_0),
    Quantization("q5_1", 9, Kind.Q5_1),
    Quantization("q8_0", 7, Kind.Q8_0),
    Quantization("q4_k_s", 14, Kind.Q4_K, value=first_layers(4, Kind.Q5_K), down=first_eighth(Kind.Q5_K)),
    Quantization("q4_k_m", 15, Kind.Q4_K, value=some_layers(Kind.Q6_K), down=some_layers(Kind.Q6_K)),
    Quantization("q5_k_s", 16, Kind.Q5_K),
    Quantization("q5_k_m", 17, Kind.Q5_K, value=some_layers(Kind.Q6_K), down=some_layers(Kind.Q6_K)),
    Quantization("q6_k", 18, Kind.Q6_K),
)
"""Each mixes types as llama.cpp's quantisation of that name does without an importance matrix."""

NAMES = (F16, *(row.name for row in QUANTIZATIONS))
"""What may be asked for; `f16` needs no row."""


def quantization(name: str) -> Quantization:
    """Finds a row.

    Raises:
        BadConfiguration: `BAD_QUANTISATION`, with the choices.
    """
    for row in QUANTIZATIONS:
        if row.name == name:
            return row
    choices = ", ".join(NAMES)
    raise BadConfiguration("BAD_QUANTISATION", f"no quantisation {name!r}; there are {choices}", choices=choices)


__all__ = ["F16", "NAMES", "QUANTIZATIONS", "Quantization", "quantization"]
