"""What an export needs of its machine, from the sizes of its inputs."""

import json
import math
from collections.abc import Callable

from google.protobuf.json_format import ParseDict

from bookmill.v1.export_pb2 import ExportSpec
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
# The interpreter with its libraries, and the logits of one window over a large vocabulary.
_BASE_MEMORY = 2 << 30


def export_needs(store: Store) -> Callable[[Order], Needs]:
    """Gives what tells the needs of an order. Reads manifests alone.

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
        return Needs(math.ceil(disk), math.ceil(copies * base + adapter) + _BASE_MEMORY)

    return of
