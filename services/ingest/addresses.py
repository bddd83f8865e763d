"""Which addresses the service may ask: a guard against requests to places that a user must not reach through
it.

The host must be on a list. Its name is resolved here and the connection goes to the very address that was
checked, so that a name which resolves differently a moment later (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from services.common.errors import InvalidInput, PermissionDenied, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver = Callable[[str, int], Awaitable[tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be asked, and where the connection goes."""

    url: str
    host: str
    """Lower case, without a trailing dot; without brackets if it is an IPv6 address."""
    port: int
    addresses: tuple[str, ...]
    """Checked addresses, in the resolver's order."""


async def system_resolver(host: str, port: int) -> tuple[str, ...]:
    """Asks the system's resolver, for at most ten seconds. Raises OSError or TimeoutError."""
    async with asyncio.timeout(10):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # A scope (`fe80::1%eth0`) says nothing that the check needs, and ipaddress would keep it in the
    # comparison.
    return tuple(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


@dataclass(frozen=True, slots=True)
class Guard:
    """What may be asked. An entry of a list is `host`, `*.domain` (any name below it) or either with
    `:port`."""

    hosts: tuple[str, ...]
    """Hosts that may be asked at their public addresses, at ports 80 and 443 where the entry names none."""
    exempt_hosts: tuple[str, ...] = ()
    """Hosts that may be asked at any address and port: a mirror in the same cluster, the demo's catalogue."""
    exempt_networks: tuple[Network, ...] = ()
    """Address ranges that are treated as public."""
    resolve: Resolver = system_resolver

    async def check(self, url: str) -> Target:
        """Returns the address to connect to.

        Raises InvalidInput BAD_URI, PermissionDenied HOST_NOT_ALLOWED or ADDRESS_NOT_ALLOWED, and Unavailable
        SOURCE_UNAVAILABLE where the name does not resolve.
        """
        parts, host, port = _split(url)
        exempt = _listed(host, port, self.exempt_hosts, any_port=True)
        if not exempt and not _listed(host, port, self.hosts, any_port=False):
            allowed = ", ".join(self.hosts + self.exempt_hosts) or "none"
            raise PermissionDenied(
                "HOST_NOT_ALLOWED",
                f"{host!r} at port {port} is not among the hosts that may be asked: {allowed}",
                host=host,
            )
        try:
            addresses = await self.resolve(host, port)
        except (OSError, TimeoutError) as error:
            raise Unavailable(
                "SOURCE_UNAVAILABLE", f"the name {host!r} does not resolve: {error}", host=host
            ) from error
        for address in addresses:
            self._check_address(host, address, exempt)
        if not addresses:
            raise Unavailable("SOURCE_UNAVAILABLE", f"the name {host!r} has no address", host=host)
        return Target(parts.geturl(), host, port, addresses)

    def _check_address(self, host: str, text: str, exempt: bool) -> None:
        address = _innermost(ipaddress.ip_address(text))
        if address not in _METADATA and (
            exempt or _public(address) or any(address in net for net in self.exempt_networks)
        ):
            return
        raise PermissionDenied(
            "ADDRESS_NOT_ALLOWED",
            f"{host!r} resolves to {text}, which is not a public address; "
            "a setting can exempt hosts and address ranges",
            host=host,
        )


_PORTS = {"http": 80, "https": 443}

_METADATA: frozenset[Address] = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")
)
"""Where clouds hand out credentials (AWS, Google, Azure and others; ECS; Azure's wire server; Alibaba; AWS
over IPv6). Azure's is a public address, so a list is needed; no exemption reaches them."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses as an IPv6-only network writes them (RFC 6052)."""


_INNER = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "64:ff9b:1::/48")))
"""What Python 3.11 takes for global: protocol assignments (RFC 6890), among them Oracle's metadata service, and
NAT64 prefixes of a network's own (RFC 8215), behind which any inner IPv4 address may be."""


def _split(url: str) -> tuple[SplitResult, str, int]:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or _PORTS.get(parts.scheme, 0)
        # The name as the network knows it, so that a look-alike in another script matches no entry.
        host = host if ":" in host else host.encode("idna").decode("ascii").lower()
    except ValueError as error:
        raise InvalidInput("BAD_URI", f"{url!r} is not a URL: {error}") from error
    if parts.scheme not in _PORTS:
        raise InvalidInput("BAD_URI", f"{url!r} is neither https: nor http:")
    if not host:
        raise InvalidInput("BAD_URI", f"{url!r} names no host")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("BAD_URI", f"a URL with a user name or password is not asked: its host is {host!r}")
    if any(character <= " " or character == "\x7f" for character in url):
        raise InvalidInput("BAD_URI", f"{url!r} has a control character or a blank")
    return parts._replace(fragment=""), host, port


def _listed(host: str, port: int, entries: tuple[str, ...], *, any_port: bool) -> bool:
    return any(_matches(host, port, entry.lower(), any_port) for entry in entries)


def _matches(host: str, port: int, entry: str, any_port: bool) -> bool:
    name, colon, number = entry.rpartition(":")
    # An entry that is an IPv6 address has colons of its own and no port, except in brackets.
    if not colon or (":" in name and not name.endswith("]")):
        name, number = entry, ""
    name = name.strip("[]")
    if number and number != str(port):
        return False
    if not number and not any_port and port not in _PORTS.values():
        return False
    return host.endswith(name[1:]) if name.startswith("*.") else host == name


def _innermost(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that merely carries it: mapped, 6to4, Teredo or NAT64."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    teredo = address.teredo
    nat64 = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or nat64 or address


def _public(address: Address) -> bool:
    # is_global follows IANA's registries; a multicast address can be global, and site-local ones are outdated but
    # routed.
    special = address.is_multicast or getattr(address, "is_site_local", False) or any(address in net for net in _INNER)
    return address.is_global and not special
