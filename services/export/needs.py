"""What an export needs of its machine, from the sizes of its inputs."""

import json
import math
from collections.abc import Callable

from google.protobuf.json_format import ParseDict

from bookmill.v1.export_pb2 import ExportSpec
from services.common.errors import NotFound
from services.common.objects import Reference
from services.common.storage import Store
from services.jobs.kubernetes.needs import Needs
from services.jobs.launcher import Order

# On disk lie two models in 16 bits at the most: base and merged, merged and GGUF, GGUF and a quantised one.
_MODELS_ON_DISK = 2
_FIFTH = 0.2  # for what is written while the old is still there
# Up to two billion parameters a model is measured in 32 bits, twice its file; then the adapter's products beside it.
_SMALL_BYTES = 4_000_000_000
_SMALL_COPIES, _LARGE_COPIES = 2.5, 1.5
# The interpreter with its libraries, and what is computed of some hundreds of positions at a time.
_BASE_MEMORY = 2 << 30
_LOGIT_BYTES = 4
_LARGE_VOCABULARY = 262_144  # Gemma's, where a model does not say its own


def export_needs(store: Store) -> Callable[[Order], Needs]:
    """Gives what tells the needs of an order. Reads manifests and the base model's configuration alone.

    Measured with windows of 2,048 tokens and a vocabulary of 128,256: a model of 1.24 billion parameters took 6.7 GiB
    of the 8.8 that it is given, one of 2.21 billion 5.8 of 9.2.

    Raises, when called:
        InvalidInput: `BAD_REFERENCE`.
        NotFound: `NO_SUCH_OBJECT`.
        Unavailable: `STORE_UNAVAILABLE`.
    """

    def of(order: Order) -> Needs:
        spec: ExportSpec = ParseDict(json.loads(order.request), ExportSpec())
        base, adapter, dataset = (
            sum(file.size for file in store.folder(Reference.from_proto(getattr(spec, field), field)))
            for field in ("base_model", "adapter", "dataset")
        )
        disk = (_MODELS_ON_DISK * base + adapter + dataset) * (1 + _FIFTH)
        copies = _SMALL_COPIES if base <= _SMALL_BYTES else _LARGE_COPIES
        # A window is predicted at once, each of its tokens over the whole vocabulary.
        window = min(spec.context_length, spec.parity_tokens)
        logits = _LOGIT_BYTES * window * _vocabulary(store, Reference.from_proto(spec.base_model, "base_model"))
        return Needs(math.ceil(disk), math.ceil(copies * base + adapter) + _BASE_MEMORY + logits)

    return of


def _vocabulary(store: Store, base: Reference) -> int:
    try:
        config = json.loads(store.read(store.file_of(base, "config.json")))
        return int(config.get("text_config", config)["vocab_size"])
    except (NotFound, ValueError, KeyError, TypeError, AttributeError):
        return _LARGE_VOCABULARY  # the program says what is wrong with it
