"""What the network policies cut is cut, and what they allow goes through: a table of connections, pod by pod."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.kind import cluster as kind
from tests.support.e2e_cluster import Cluster, Object, eventually, program_pod
from tests.support.e2e_release import CLIENT_LABEL, STORE_NODE, Bookmill

SERVICES = ("ingest", "clean", "chunk", "train", "export")
PUBLIC = "203.0.113.10"
"""An address of the documentation range (RFC 5737): public to a network policy, and answered by the control plane."""

_OPEN = {"api", "catalogue", "ollama", "public", "public, another port", "dns"}
"""What a pod reaches that is not the release's."""

EXPECTED: dict[str, set[str]] = {
    "ingest": {"store", "dns", "catalogue", "public"},
    "clean": {"store", "dns"},
    "chunk": {"store", "dns"},
    "train": {"store", "dns", "api"},
    "export": {"store", "dns", "api", "ollama", "public"},
    "gateway": {"store", "dns", *SERVICES},
    "trainer": {"store", "dns"},
    "exporter": {"store", "dns"},
    "store": set(),
    "client": {*SERVICES, "gateway", "gateway REST", *_OPEN},
    "stranger": {"gateway", "gateway REST", *_OPEN},
}
"""Which connections are made, from each pod."""


@pytest.fixture(scope="module")
def targets(bookmill: Bookmill) -> Iterator[dict[str, str]]:
    """Addresses by name: by number, so that a pod that may not look up names is tried too."""
    cluster = bookmill.cluster
    stand_in = program_pod(
        cluster.settings, "ollama", ["deploy.examples.catalogue", "--host=0.0.0.0", "--port=11434"], node=STORE_NODE
    )
    cluster.apply(stand_in)
    image, control_plane = cluster.settings.image("e2e"), f"{cluster.settings.cluster}-control-plane"
    kind.run(("kind", "load", "docker-image", f"--name={cluster.settings.cluster}", f"--nodes={control_plane}", image))
    kind.kubectl(cluster.settings, "apply", "--namespace=default", "--filename=-", stdin=json.dumps(_outside(cluster)))
    _route(cluster)
    cluster.kubectl("wait", "pod/ollama", "--for=condition=Ready", "--timeout=120s")
    wait = ("wait", "pod/outside", "--for=condition=Ready", "--timeout=120s", "--namespace=default")
    kind.kubectl(cluster.settings, *wait)
    api = json.loads(
        kind.kubectl(cluster.settings, "get", "service", "kubernetes", "--namespace=default", "--output=json")
    )
    yield {
        **{name: f"{_address(cluster, cluster.pod(name))}:50051" for name in (*SERVICES, "gateway")},
        "gateway REST": f"{_address(cluster, cluster.pod('gateway'))}:8080",
        "store": f"{_address(cluster, cluster.pod('store'))}:9000",
        "api": f"{api['spec']['clusterIP']}:443",
        "catalogue": f"{_address(cluster, 'catalogue')}:8600",
        "ollama": f"{_address(cluster, 'ollama')}:11434",
        "public": f"{PUBLIC}:443",
        "public, another port": f"{PUBLIC}:8443",
    }
    cluster.delete("pod", "ollama")
    kind.kubectl(cluster.settings, "delete", "pod", "outside", "--namespace=default")


@pytest.fixture(scope="module")
def pods(bookmill: Bookmill) -> Iterator[dict[str, str]]:
    """A pod of each kind: those of services, and probes with the labels of what has no Python or no pod just now."""
    cluster = bookmill.cluster
    labels = {"app.kubernetes.io/name": "bookmill", "app.kubernetes.io/instance": cluster.settings.release}
    probes = {
        **{name: {**labels, "app.kubernetes.io/component": name} for name in ("trainer", "exporter", "store")},
        "client": CLIENT_LABEL,
        "stranger": {},
    }
    for name, chosen in probes.items():
        pod = program_pod(cluster.settings, f"probe-{name}", ["programs.hold"], chosen, node=STORE_NODE)
        # Never ready, so that no Service sends a call to it.
        pod["spec"]["readinessGates"] = [{"conditionType": "bookmill.dev/never"}]
        cluster.apply(pod)
    for name in probes:
        running = ("wait", f"pod/probe-{name}", "--for=jsonpath={.status.phase}=Running", "--timeout=120s")
        cluster.kubectl(*running)
    services = {name: cluster.pod(name) for name in (*SERVICES, "gateway")}
    yield {**services, **{name: f"probe-{name}" for name in probes}}
    cluster.delete("pod", *(f"probe-{name}" for name in probes))


def test_the_table_of_connections(bookmill: Bookmill, targets: dict[str, str], pods: dict[str, str]) -> None:
    cluster = bookmill.cluster
    # Everybody who is allowed to reaches each target, so that what others do not reach is cut and not down.
    for name in targets:
        assert any(name in allowed for allowed in EXPECTED.values()), name
    seen: dict[str, Any] = {}

    def probe(name: str) -> set[str]:
        own = _address(cluster, pods[name])
        tried = [f"{target}={address}" for target, address in targets.items() if not address.startswith(f"{own}:")]
        found = cluster.python_in(pods[name], "probe", *tried)
        seen[name] = found
        return {target for target, made in found.items() if made}

    for name, expected in EXPECTED.items():
        # A pod of one's own reaches itself whatever a policy says.
        own = {t for t, address in targets.items() if address.startswith(f"{_address(cluster, pods[name])}:")}
        eventually(
            lambda name=name: probe(name),
            lambda made, e=expected - own: made == e,
            20,
            f"connections of {name}, {sorted(expected)}",
        )  # type: ignore[misc]
    bookmill.tables.append(_table(seen, [*targets, "dns"]))


def test_only_train_and_export_have_a_token_of_the_cluster(bookmill: Bookmill) -> None:
    cluster = bookmill.cluster
    token = "import pathlib; print(pathlib.Path('/var/run/secrets/kubernetes.io/serviceaccount/token').exists())"
    having = {
        name for name in (*SERVICES, "gateway") if "True" in cluster.run_in(cluster.pod(name), "python", "-c", token)
    }
    assert having == {"train", "export"}


def _table(seen: dict[str, dict[str, bool]], targets: list[str]) -> str:
    rows = [["from \\ to", *targets]]
    rows += [
        [name, *({True: "yes", False: "cut", None: "itself"}[made.get(t)] for t in targets)]
        for name, made in seen.items()
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _address(cluster: Cluster, pod: str) -> str:
    return str(cluster.get("pod", pod)["status"]["podIP"])


def _outside(cluster: Cluster) -> Object:
    """A pod on the control plane's own network, in a namespace where that is allowed."""
    image = cluster.settings.image("e2e")
    containers = [
        {
            "name": f"port-{port}",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-m", "http.server", str(port)],
            "securityContext": {"runAsUser": 0},
            "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        }
        for port in (443, 8443)
    ]
    spec = {
        "hostNetwork": True,
        "nodeSelector": {"node-role.kubernetes.io/control-plane": ""},
        "tolerations": [{"operator": "Exists"}],
        "terminationGracePeriodSeconds": 0,
        "automountServiceAccountToken": False,
        "containers": containers,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "outside"}, "spec": spec}


def _route(cluster: Cluster) -> None:
    """Gives the control plane the public address, and the workers the way to it."""
    control_plane = f"{cluster.settings.cluster}-control-plane"
    node = json.loads(kind.kubectl(cluster.settings, "get", "node", control_plane, "--output=json"))
    inner = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    kind.run(("docker", "exec", control_plane, "ip", "address", "replace", f"{PUBLIC}/32", "dev", "lo"))
    for name in kind.nodes(cluster.settings):
        if name != control_plane:
            kind.run(("docker", "exec", name, "ip", "route", "replace", f"{PUBLIC}/32", "via", inner))
