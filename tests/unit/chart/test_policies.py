"""What holds for every pod that the chart and its services make; each proved by a broken chart."""

import ipaddress
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.support.chart import pods, shown_secrets, unrestricted
from tests.support.chart_jobs import made_jobs
from tests.support.chart_values import VALUES, every
from tests.support.connections import Place, allowed, isolated
from tests.support.helm import Helm, Object

Broken = Callable[..., Path]
SERVICES = ("ingest", "clean", "chunk", "train", "export")
JOBS = ("trainer", "exporter")
COMPONENTS = (*SERVICES, "gateway", "store", "test", *JOBS)
GRPC, REST, S3 = 50051, 8080, 9000
CLIENT = Place.pod({"bookmill.dev/client": "true"})
STRANGER = Place.pod({"app": "somebody"})
DNS = Place.pod({"k8s-app": "kube-dns"}, "kube-system")
ELSEWHERE = Place.pod({"k8s-app": "kube-dns"}, "other")
PUBLIC, PUBLIC_6 = Place(address="93.184.216.34"), Place(address="2606:2800:220:1::1")
METADATA, PRIVATE, PRIVATE_6 = Place(address="169.254.169.254"), Place(address="10.0.0.9"), Place(address="fd00::9")
API = Place(address="172.18.0.2")


@pytest.fixture
def render(helm: Helm, tmp_path: Path) -> Callable[..., list[Object]]:
    def rendered(values: Object | None = None, chart: Path | None = None) -> list[Object]:
        objects = helm.render(values, chart) if chart else helm.render(values)
        return [*objects, *made_jobs(objects, tmp_path)]

    return rendered


Render = Callable[..., list[Object]]


@every
def test_every_pod_is_restricted(render: Render, values: Object) -> None:
    objects = render(values)
    assert len(pods(objects)) >= 9
    assert unrestricted(objects) == []


UNRESTRICTED = {
    "runAsNonRoot": ("templates/_helpers.tpl", "runAsNonRoot: true", "runAsNonRoot: false"),
    "runAsUser": ("templates/_helpers.tpl", "runAsUser: 10001", "runAsUser: 0"),
    "seccompProfile": ("templates/_helpers.tpl", "RuntimeDefault", "Unconfined"),
    "allowPrivilegeEscalation": ("templates/_helpers.tpl", "Escalation: false", "Escalation: true"),
    "capabilities": ("templates/_helpers.tpl", "{drop: [ALL]}", "{drop: [NET_RAW]}"),
    "readOnlyRootFilesystem": ("templates/_helpers.tpl", "Filesystem: true", "Filesystem: false"),
    "automountServiceAccountToken": ("templates/object-store.yaml", "Token: false", "Token: true"),
    "enableServiceLinks": ("templates/_service.tpl", "enableServiceLinks: false", "enableServiceLinks: true"),
    "volume": ("templates/object-store.yaml", "emptyDir: {sizeLimit: 1Gi}", "hostPath: {path: /tmp}"),
    "hostNetwork": ("templates/object-store.yaml", "enableServiceLinks: false", "hostNetwork: true"),
    "hostPort": ("templates/object-store.yaml", "containerPort: 9000}", "containerPort: 9000, hostPort: 9000}"),
    "privileged": ("templates/_helpers.tpl", "runAsGroup: 10001\n  cap", "privileged: true\n  cap"),
    "resources.limits.memory": ("values.yaml", 'limits: {cpu: "2", memory: 1Gi}', 'limits: {cpu: "2"}'),
    "serviceAccountName": ("templates/_service.tpl", "serviceAccountName: {{ $fullname }}", "priority: 0"),
}


@pytest.mark.parametrize(("problem", "change"), UNRESTRICTED.items(), ids=UNRESTRICTED.keys())
def test_a_pod_that_is_not_restricted_is_found(
    render: Render, broken: Broken, problem: str, change: tuple[str, str, str]
) -> None:
    assert any(problem in found for found in unrestricted(render(chart=broken(*change))))


@every
def test_no_secret_is_shown(render: Render, values: Object) -> None:
    assert shown_secrets(render(values)) == []


CANARY = '"canary-0123456789" | b64enc'
SHOWN = {
    "variable": ("templates/object-store.yaml", "{name: HOME, value: /tmp}", "{name: HOME, value: canary-0123456789}"),
    "argument": ("templates/object-store.yaml", "args: [server, /data]", "args: [server, --key=canary-0123456789]"),
    "annotation": ("templates/_service.tpl", "checksum/settings: {{ . }}", "key: {{ " + CANARY + " }}"),
    "settings of Jobs": ("templates/_jobs.tpl", "storeSecret: {{", "labels: {key: canary-0123456789}\nstoreSecret: {{"),
}


@pytest.mark.parametrize("change", SHOWN.values(), ids=SHOWN.keys())
def test_a_secret_that_is_shown_is_found(helm: Helm, broken: Broken, change: tuple[str, str, str]) -> None:
    broken("templates/_helpers.tpl", "randAlphaNum .length | b64enc", CANARY)
    assert any("shows a Secret's value" in found for found in shown_secrets(helm.render(chart=broken(*change))))


def test_a_secret_in_the_environment_is_found(helm: Helm, broken: Broken) -> None:
    home = "{name: HOME, value: /tmp}"
    reference = "{name: KEY, valueFrom: {secretKeyRef: {name: bookmill-store, key: access_key}}}"
    chart = broken("templates/object-store.yaml", home, reference)
    assert shown_secrets(helm.render(chart=chart)) == ["StatefulSet/bookmill-store: KEY is a Secret in the environment"]
    chart = broken("templates/object-store.yaml", reference, "{name: MINIO_ROOT_PASSWORD, value: hunter2}")
    assert shown_secrets(helm.render(chart=chart)) == [
        "StatefulSet/bookmill-store: MINIO_ROOT_PASSWORD has a secret's name and is no file"
    ]


@every
def test_a_policy_cuts_off_every_pod(render: Render, values: Object) -> None:
    objects = render(values)
    assert [pod.of for pod in pods(objects) if not isolated(objects, pod.labels)] == []


def test_a_pod_without_a_policy_is_found(render: Render, broken: Broken) -> None:
    chart = broken("templates/networkpolicies.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Egress]")
    objects = render(chart=chart)
    open_ones = [pod.of for pod in pods(objects) if not isolated(objects, pod.labels)]
    assert "Job/bookmill-test" in open_ones
    assert any(name.startswith("Job/train-") for name in open_ones)


def connections(objects: list[Object]) -> Iterator[tuple[str, str, int]]:
    """Every connection between pods, or to what is outside, that goes through."""
    inside = {pod.labels["app.kubernetes.io/component"]: Place.pod(pod.labels) for pod in pods(objects)}
    sources = {**inside, "client": CLIENT, "stranger": STRANGER}
    outside = {"dns": DNS, "elsewhere": ELSEWHERE, "public": PUBLIC, "public-6": PUBLIC_6, "api": API}
    outside |= {"metadata": METADATA, "private": PRIVATE, "private-6": PRIVATE_6, "stranger": STRANGER}
    ports = (53, 80, 443, 6443, S3, GRPC, REST, 8333, 8888, 9333, 11434)
    for (source, at), (target, to) in product(sources.items(), {**inside, **outside}.items()):
        if source in {"client", "stranger"} and target not in inside:
            continue  # not ours to judge
        yield from ((source, target, port) for port in ports if allowed(objects, at, to, port))


def expected() -> set[tuple[str, str, int]]:
    """The table of connections that must go through; no other may."""
    storing = (*SERVICES, "gateway", *JOBS)
    return {
        *((one, "store", S3) for one in storing),
        *((one, "dns", 53) for one in (*storing, "test")),
        *((caller, service, GRPC) for caller in ("gateway", "test", "client") for service in SERVICES),
        *((caller, "gateway", port) for caller in ("test", "client", "stranger") for port in (GRPC, REST)),
        *((one, there, port) for one in ("ingest", "export") for there in ("public", "public-6") for port in (80, 443)),
        *((one, "api", port) for one in ("train", "export") for port in (443, 6443)),
    }


CLOSE = {"networkPolicy": {"apiServerCidrs": ["172.18.0.2/32"]}}


def test_what_is_named_goes_through_and_nothing_else(render: Render) -> None:
    assert set(connections(render(CLOSE))) == expected()


def bad_ranges(objects: list[Object]) -> list[str]:
    """What the API server refuses of address ranges: an exception must be a part, and of the same family."""
    blocks = [block for it in objects if it["kind"] == "NetworkPolicy" for block in _blocks(it["spec"])]
    pairs = [(ipaddress.ip_network(b["cidr"]), ipaddress.ip_network(part)) for b in blocks for part in b["except"]]
    return [
        f"{part} of {whole}"
        for whole, part in pairs
        if part == whole
        or not part.subnet_of(whole)  # type: ignore[arg-type]
        or getattr(part.network_address, "ipv4_mapped", None)  # which is version 4 to it
    ]


def _blocks(value: object) -> Iterator[Object]:
    if isinstance(value, dict):
        if "except" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _blocks(inner)


def test_ranges_are_those_that_the_api_server_takes(helm: Helm, broken: Broken) -> None:
    assert bad_ranges(helm.render()) == []
    chart = broken("templates/networkpolicies.yaml", '"2000::/3"', '"::/0"')
    chart = broken("templates/networkpolicies.yaml", '"2002::/16"', '"::ffff:0:0/96"')
    assert bad_ranges(helm.render(chart=chart)) == ["::ffff:0:0/96 of ::/0"]


def test_names_are_looked_up_over_udp(render: Render) -> None:
    objects = render()
    found = {pod.labels["app.kubernetes.io/component"]: Place.pod(pod.labels) for pod in pods(objects)}
    assert {c for c, at in found.items() if allowed(objects, at, DNS, 53, "UDP")} == set(COMPONENTS) - {"store"}


def test_the_api_is_sought_in_private_ranges_where_no_cluster_can_be_asked(render: Render) -> None:
    through = set(connections(render()))
    more = {
        (one, there, port) for one in ("train", "export") for there in ("private", "private-6") for port in (443, 6443)
    }
    assert through - expected() == more


def test_production_opens_the_gateway_to_whom_it_names(render: Render) -> None:
    objects = render(VALUES["production"])
    gateway = next(Place.pod(pod.labels) for pod in pods(objects) if pod.of == "Deployment/bookmill-gateway")
    controller = Place.pod({"app": "controller"}, "ingress-nginx")
    assert allowed(objects, controller, gateway, REST)
    assert allowed(objects, CLIENT, gateway, GRPC)
    assert not allowed(objects, STRANGER, gateway, REST)


def test_an_external_store_is_reached_where_the_values_say(render: Render) -> None:
    objects = render(VALUES["external-store"])
    trainer = next(Place.pod(p.labels) for p in pods(objects) if p.labels["app.kubernetes.io/component"] == "trainer")
    assert allowed(objects, trainer, Place(address="203.0.113.20"), 8443)
    assert not allowed(objects, trainer, Place(address="203.0.113.20"), 443)
    assert not allowed(objects, trainer, Place(address="203.0.114.20"), 8443)


def test_ollama_is_reached_where_the_values_say(render: Render) -> None:
    objects = render(VALUES["ingress"])
    ollama = Place.pod({"app": "ollama"}, "models")
    through = {p.of for p in pods(objects) if allowed(objects, Place.pod(p.labels), ollama, 11434)}
    assert through == {"Deployment/bookmill-export"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('$storing := concat $services $jobs (list "gateway")', '$storing := concat $services (list "gateway")'),
        ('(list "ingest" "export")', '(list "ingest" "export" "trainer")'),
        ("169.254.0.0/16, ", ""),
        ('(list "train" "export")', '(list "train" "export" "clean")'),
        ('"components" $storing) | nindent 10', '"components" $services) | nindent 10'),
    ],
)
def test_a_connection_too_many_or_too_few_is_found(render: Render, broken: Broken, old: str, new: str) -> None:
    assert set(connections(render(CLOSE, broken("templates/networkpolicies.yaml", old, new)))) != expected()


@pytest.mark.parametrize(("given", "there"), [("auto", True), (True, True), (False, False)])
def test_ipv6_is_public_as_given_and_where_no_cluster_says_otherwise(helm: Helm, given: object, there: bool) -> None:
    values = {"networkPolicy": {"publicIPv6": given}}
    assert ("2000::/3" in helm.texts(values)["bookmill/templates/networkpolicies.yaml"]) == there
