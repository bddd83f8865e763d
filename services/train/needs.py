"""What a training needs of its machine's disk, from the sizes of its inputs."""

import json
import math
from collections.abc import Callable

from google.protobuf.json_format import ParseDict

from bookmill.v1.train_pb2 import TrainingSpec
from services.common.objects import Reference
from services.common.storage import Store
from services.jobs.kubernetes.needs import Needs
from services.jobs.launcher import Order
from services.train.estimating import disk_bytes
from services.train.facts import read_model

# The splits as they are, and their tokens in 32 bits: a token is some 4 letters, and parquet packs prose 3.4-fold.
_DATA_COPIES = 4.4


def training_needs(store: Store) -> Callable[[Order], Needs]:
    """Gives what tells the needs of an order. Reads manifests and headers of weights, never the whole.

    Raises, when called:
        InvalidInput: `BAD_REFERENCE`.
        NotFound: `NO_SUCH_OBJECT`.
        Unavailable: `STORE_UNAVAILABLE`.
    """

    def of(order: Order) -> Needs:
        spec: TrainingSpec = ParseDict(json.loads(order.request), TrainingSpec())
        model = read_model(store, Reference.from_proto(spec.base_model, "base_model"))
        data = sum(file.size for file in store.folder(Reference.from_proto(spec.dataset, "dataset")))
        return Needs(disk_bytes(model, spec.hyperparameters) + math.ceil(_DATA_COPIES * data))

    return of
