"""Runs the train service: `python -m services.train`."""

from bookmill.v1 import train_pb2, train_pb2_grpc
from services.common import telemetry
from services.common.opening import open_store
from services.common.server import run, serve
from services.common.settings import ServerSettings, StoreSettings, load
from services.jobs.following import Jobs
from services.jobs.kubernetes.manifest import TRAINER
from services.jobs.kubernetes.settings import ClusterSettings, load_cluster
from services.jobs.launching import make_launcher
from services.jobs.records import JobRecords
from services.train.needs import training_needs
from services.train.servicer import TrainingJobs, TrainServicer
from services.train.settings import TrainSettings
from services.train.training_jobs import TRAINING

SERVICE = train_pb2.DESCRIPTOR.services_by_name["TrainService"].full_name


def main() -> None:
    """Loads the settings and serves until SIGTERM."""
    telemetry.configure("train")
    settings = load(TrainSettings)
    run(_serve(settings, load_cluster(settings), load(StoreSettings), load(ServerSettings)))


async def _serve(
    settings: TrainSettings, cluster: ClusterSettings | None, store_settings: StoreSettings, server: ServerSettings
) -> None:
    store = await open_store(store_settings)
    launcher = await make_launcher(
        TRAINING, TRAINER, training_needs(store), JobRecords(store), settings, store_settings, cluster
    )
    jobs: TrainingJobs = Jobs(TRAINING, store, launcher)
    servicer = TrainServicer(jobs, store, settings)
    async with jobs.kept_up():
        await serve(
            "train",
            server,
            lambda s: train_pb2_grpc.add_TrainServiceServicer_to_server(servicer, s),
            (SERVICE,),
            on_stop=jobs.close,
        )


if __name__ == "__main__":
    main()
