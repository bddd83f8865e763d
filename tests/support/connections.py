"""Which connections NetworkPolicies let through, judged as Kubernetes defines them.

A connection goes through when some policy lets it out of its source and some policy lets it into its target; a pod
that no policy selects in a direction is open in it. Source:
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

import ipaddress
from dataclasses import dataclass

from tests.support.helm import Object


@dataclass(frozen=True, slots=True)
class Place:
    """An end of a connection: a pod, or an address outside of the cluster."""

    labels: tuple[tuple[str, str], ...] = ()
    namespace: str = "bookmill"
    address: str = ""
    """Of something that is no pod."""

    @classmethod
    def pod(cls, labels: dict[str, str], namespace: str = "bookmill") -> "Place":
        """Gives a pod."""
        return cls(tuple(labels.items()), namespace)


def allowed(objects: list[Object], source: Place, target: Place, port: int, protocol: str = "TCP") -> bool:
    """Says whether a connection goes through."""
    policies = [it for it in objects if it["kind"] == "NetworkPolicy"]
    out = source.address or _lets(policies, "egress", source, target, port, protocol)
    into = target.address or _lets(policies, "ingress", target, source, port, protocol)
    return bool(out and into)


def isolated(objects: list[Object], labels: dict[str, str]) -> bool:
    """Says whether a pod is selected in both directions, so that nothing goes through that is not named."""
    pod = Place.pod(labels)
    chosen = [it for it in objects if it["kind"] == "NetworkPolicy" and _applies(it, pod)]
    return {"Ingress", "Egress"} <= {kind for policy in chosen for kind in policy["spec"]["policyTypes"]}


def _lets(policies: list[Object], way: str, pod: Place, other: Place, port: int, protocol: str) -> bool:
    chosen = [p for p in policies if _applies(p, pod) and way.capitalize() in p["spec"]["policyTypes"]]
    rules = [rule for policy in chosen for rule in policy["spec"].get(way, [])]
    return not chosen or any(_matches(rule, way, other, port, protocol) for rule in rules)


def _applies(policy: Object, pod: Place) -> bool:
    inside = policy["metadata"]["namespace"] == pod.namespace
    return inside and not pod.address and _selects(policy["spec"]["podSelector"], dict(pod.labels))


def _matches(rule: Object, way: str, other: Place, port: int, protocol: str) -> bool:
    peers = rule.get("to" if way == "egress" else "from", [])
    ports = rule.get("ports", [])
    through = not ports or any(
        p.get("protocol", "TCP") == protocol and ("port" not in p or p["port"] <= port <= p.get("endPort", p["port"]))
        for p in ports
    )
    return through and (not peers or any(_is(peer, other) for peer in peers))


def _is(peer: Object, other: Place) -> bool:
    if "ipBlock" in peer:
        # Ranges are for what is outside: a pod's address is the cluster's to choose, and private.
        return bool(other.address) and _within(peer["ipBlock"], other.address)
    if other.address:
        return False
    if "namespaceSelector" in peer:
        names = {"kubernetes.io/metadata.name": other.namespace}
        if not _selects(peer["namespaceSelector"], names):
            return False
    elif other.namespace != "bookmill":
        return False
    return _selects(peer.get("podSelector", {}), dict(other.labels))


def _within(block: Object, address: str) -> bool:
    at = ipaddress.ip_address(address)
    return at in ipaddress.ip_network(block["cidr"]) and not any(
        at in ipaddress.ip_network(part) for part in block.get("except", [])
    )


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(_expression(e, labels) for e in selector.get("matchExpressions", []))


def _expression(expression: Object, labels: dict[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values", [])
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
    return value is None
