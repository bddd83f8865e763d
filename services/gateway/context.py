"""What a stage is given besides the state."""

from dataclasses import dataclass

from bookmill.v1 import run_pb2
from services.common.storage import Store
from services.gateway.board import Board, Meter
from services.gateway.peers import Peers
from services.gateway.runs import Runs
from services.gateway.settings import GatewaySettings


@dataclass(frozen=True, slots=True)
class Context:
    """A stage's surroundings."""

    run: str
    """The run's id. It enters no request of a step."""
    stage: str
    """The stage's name."""
    spec: run_pb2.RunSpec
    peers: Peers
    store: Store
    runs: Runs
    settings: GatewaySettings
    board: Board
    """What the run looks like now."""
    meter: Meter
    """The stage says here what it is doing."""
