"""The release in the cluster with what tests put beside it: the example catalogue, a client pod, a base model."""

import json
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from deploy.kind import release
from tests.support.e2e_cluster import Cluster, Object, eventually, program_pod
from tests.support.e2e_runs import Gateway, Run, spec

VALUES = Path(__file__).resolve().parents[1] / "e2e" / "values.yaml"
CLIENT = "client"
"""The pod that may call every service, by the label that the values name."""
CLIENT_LABEL = {"bookmill.dev/client": "true"}
STORE_NODE = {"bookmill.dev/for": "store"}
"""The node that no test drains."""


@dataclass
class Bookmill:
    """The installed release."""

    cluster: Cluster
    gateway: Gateway
    model: str
    """URI of the tiny base model, which was uploaded."""
    measured: dict[str, float] = field(default_factory=dict)
    """Seconds and bytes, by what was measured; shown at the end."""
    tables: list[str] = field(default_factory=list)
    """Shown at the end too."""
    first_seed: int = field(default_factory=lambda: 1 + 1000 * (int(time.time()) % 1_000_000))
    """What seeds are counted from: a cluster that was kept remembers what was trained on it before."""

    def spec(self, seed: int = 0, **options: Any) -> Run:
        """Gives what a small run asks for, see `e2e_runs.spec`; no earlier session has asked for the same."""
        return spec(self.model, seed=self.first_seed + seed, **options)

    def call(self, service: str, method: str, request: Object) -> Object:
        """Calls a service from a pod that may; `{"response"}`, or `{"code", "reason", "message"}`."""
        address = f"dns:///{self.name(service)}:50051"
        command = ("python", "-m", "programs.call", address, method, json.dumps(request))
        return dict(json.loads(self.cluster.run_in(CLIENT, *command)))

    def response(self, service: str, method: str, request: Object) -> Object:
        """As `call`, of a call that is answered."""
        answer = self.call(service, method, request)
        assert "response" in answer, answer
        return dict(answer["response"])

    def name(self, service: str) -> str:
        """Gives the name of a service's Deployment and Service."""
        return f"{self.cluster.settings.release}-{service}"

    def training_spec(self, summary: Run, seed: int, **hyperparameters: Any) -> Object:
        """Gives the specification of a training on what a run made, with hyper-parameters of its own."""
        trained = next(stage for stage in summary["stages"] if stage["name"] == "train")
        assert trained["state"] == "SUCCEEDED", trained
        listed = self.response("train", "TrainService/ListTrainingJobs", {"page_size": 100})["jobs"]
        adapter = trained["digests"]["adapter"]
        found = next(job for job in listed if job.get("result", {}).get("adapter", {}).get("sha256") == adapter)
        # Of what was filled in nothing is changed but what is asked for.
        own = {"seed": self.first_seed + seed, **hyperparameters}
        return {**found["spec"], "hyperparameters": {**found["spec"]["hyperparameters"], **own}}

    def training(self, name: str) -> Object:
        """Looks at a training job."""
        return self.response("train", "TrainService/GetTrainingJob", {"name": name})

    def manifest(self, spec: Object) -> Object:
        """Gives the Job of a training, as the service shows it without making it."""
        request = {"spec": spec, "validate_only": True}
        shown = self.response("train", "TrainService/CreateTrainingJob", request)["manifest"]
        return dict(yaml.safe_load(shown))

    @contextmanager
    def holding_gpus(self, count: int = 1) -> Iterator[None]:
        """Takes the cluster's GPUs away, so that trainings wait."""
        pod = program_pod(self.cluster.settings, "holder", ["programs.hold"], resources={"nvidia.com/gpu": str(count)})
        self.cluster.apply(pod)
        try:
            self.cluster.kubectl("wait", "pod/holder", "--for=condition=Ready", "--timeout=120s")
            yield
        finally:
            self.cluster.delete("pod", "holder")


def install(cluster: Cluster, *more: str) -> float:
    """Installs the release with what stands beside it, and gives the seconds until it is ready."""
    release.make_namespace(cluster.settings)
    cluster.apply(*catalogue(cluster))
    began = time.monotonic()
    release.install(cluster.settings, (VALUES,), more)
    seconds = time.monotonic() - began
    # Pods that end still serve, and may do as they were told before.
    selector = f"--selector=app.kubernetes.io/instance={cluster.settings.release}"
    eventually(
        lambda: [
            pod["metadata"]["name"] for pod in cluster.get("pods", selector) if "deletionTimestamp" in pod["metadata"]
        ],
        lambda ending: not ending,
        120,
        "end of the pods before",
    )
    # After the release, whose Secret it mounts.
    token = {"secret": {"secretName": f"{cluster.settings.release}-token"}}
    volumes = [("/etc/bookmill/token", token)]
    pod = program_pod(cluster.settings, CLIENT, ["programs.hold"], CLIENT_LABEL, volumes=volumes, node=STORE_NODE)
    cluster.apply(pod)
    cluster.kubectl("wait", "pod/catalogue", f"pod/{CLIENT}", "--for=condition=Ready", "--timeout=120s")
    return seconds


@contextmanager
def second(cluster: Cluster, name: str, *more: str, beside: Sequence[Object] = ()) -> Iterator[Cluster]:
    """Installs another release in a namespace of its own, and removes both at the end.

    Args:
        cluster: to install it on.
        name: of the release and of the namespace.
        more: further arguments of `helm upgrade`.
        beside: objects that are there before it; pods among them are waited for.
    """
    other = Cluster(replace(cluster.settings, namespace=name, release=name))
    one = [f"--set=services.{service}.replicas=1" for service in ("clean", "chunk")]
    pods = [f"pod/{item['metadata']['name']}" for item in beside if item["kind"] == "Pod"]
    try:
        release.make_namespace(other.settings)
        if beside:
            other.apply(*beside)
            other.kubectl("wait", *pods, "--for=condition=Ready", "--timeout=120s")
        release.install_chart(other.settings, (VALUES,), (*one, *more))
        yield other
    finally:
        cluster.delete("namespace", name)


@contextmanager
def forwarded(cluster: Cluster) -> Iterator[Gateway]:
    """Opens a connection to the gateway of a release that no port of the nodes leads to."""
    target = f"service/{cluster.settings.release}-gateway"
    command = ("kubectl", f"--context={cluster.settings.context}", f"--namespace={cluster.namespace}", "port-forward")
    with subprocess.Popen((*command, target, ":8080"), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            port = re.search(r"127\.0\.0\.1:(\d+)", told)
            assert port, f"kubectl port-forward said {told!r}"
            with closing(_opened(f"http://127.0.0.1:{port[1]}", cluster)) as opened:
                yield opened
        finally:
            process.terminate()


def gateway(cluster: Cluster) -> Gateway:
    """Opens a connection to the gateway, when it answers on this machine."""
    return _opened(f"http://{release.address(cluster.settings, 30080)}", cluster)


def _opened(address: str, cluster: Cluster) -> Gateway:
    opened = Gateway(address, release.token(cluster.settings))
    eventually(lambda: _answers(opened), bool, 60, f"answer from {address}")
    return opened


def _answers(gateway: Gateway) -> bool:
    try:
        return gateway.request("GET", "/healthz").status_code == 200
    except Exception:  # noqa: BLE001 (whatever it is, it does not answer yet)
        return False


def catalogue(cluster: Cluster) -> list[Object]:
    """Gives the example catalogue: a pod, and the Service that leads to it."""
    arguments = ["deploy.examples.catalogue", "--host=0.0.0.0", "--port=8600"]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "catalogue"},
        "spec": {"selector": {"app": "catalogue"}, "ports": [{"port": 8600, "targetPort": 8600}]},
    }
    return [program_pod(cluster.settings, "catalogue", arguments, node=STORE_NODE), service]
