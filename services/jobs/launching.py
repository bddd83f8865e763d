"""Chooses what runs a service's jobs, as its settings say."""

import os
from collections.abc import Callable

from services.common.errors import NotFound
from services.common.settings import StoreSettings
from services.jobs.kinds import JobKind, Result, Spec
from services.jobs.kubernetes.needs import Needs
from services.jobs.kubernetes.settings import ClusterSettings, refuse_cluster
from services.jobs.launcher import Launcher, Order
from services.jobs.local import LocalLauncher
from services.jobs.records import JobRecords
from services.jobs.settings import LaunchSettings


async def make_launcher(
    kind: JobKind[Spec, Result],
    component: str,
    needs: Callable[[Order], Needs],
    records: JobRecords,
    settings: LaunchSettings,
    store: StoreSettings,
    cluster: ClusterSettings | None,
) -> Launcher:
    """Makes the launcher of a service, or ends the program where its cluster has no such owner of Jobs.

    Args:
        kind: of the jobs.
        component: what they are in a cluster, `manifest.TRAINER` or `EXPORTER`.
        needs: says what a job needs of a cluster's machine; blocks.
        records: of the store.
        settings: of the service.
        store: where the jobs' store is.
        cluster: as `load_cluster` gave it; None for jobs of this machine.

    Raises:
        Unavailable: `NO_CLUSTER`, `CLUSTER_UNAVAILABLE`.
        PermissionDenied: `CLUSTER_FORBIDDEN`, or `FOLDER_NOT_OURS` of this machine.
    """
    if cluster is None:
        return LocalLauncher(records, settings, store, os.environ)
    # Its client takes half a second and 60 MB, which one machine need not spend.
    from services.jobs.kubernetes.launcher import KubernetesLauncher

    launcher = KubernetesLauncher(cluster, component, needs, kind.id, records)
    try:
        await launcher.connect()
    except NotFound as error:
        refuse_cluster(settings, f"owner: {error.message}")
    return launcher
