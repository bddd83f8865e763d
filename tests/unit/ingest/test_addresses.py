import ipaddress

import pytest

from services.common.errors import BookmillError, InvalidInput, PermissionDenied, Unavailable
from services.ingest.addresses import Guard, system_resolver

PUBLIC = "93.184.216.34"


def resolving(*addresses: str):
    async def resolve(host: str, port: int) -> tuple[str, ...]:
        return addresses

    return resolve


def guard(*hosts: str, to: tuple[str, ...] = (PUBLIC,), **more: object) -> Guard:
    return Guard(hosts, resolve=resolving(*to), **more)


@pytest.mark.parametrize(
    ("entries", "url"),
    [
        (("a.org",), "https://a.org/x"),
        (("a.org",), "http://a.org/x"),
        (("a.org",), "https://A.ORG./x"),
        (("A.org",), "https://a.org/x"),
        (("*.a.org",), "https://mirror.a.org/x"),
        (("*.a.org",), "https://deep.mirror.a.org/x"),
        (("a.org:8443",), "https://a.org:8443/x"),
        (("xn--bcher-kva.de",), "https://bücher.de/x"),
        ((PUBLIC,), f"http://{PUBLIC}/"),
    ],
)
async def test_a_listed_host_may_be_asked(entries: tuple[str, ...], url: str) -> None:
    target = await guard(*entries).check(url)
    assert target.addresses == (PUBLIC,)


@pytest.mark.parametrize(
    ("entries", "url"),
    [
        ((), "https://a.org/"),
        (("a.org",), "https://b.org/"),
        (("a.org",), "https://a.org.evil.org/"),
        (("a.org",), "https://evila.org/"),
        (("*.a.org",), "https://a.org/"),
        (("*.a.org",), "https://evila.org/"),
        (("a.org",), "https://a.org:22/"),
        (("a.org:8443",), "https://a.org/"),
        (("a.org",), "https://а.org/"),  # a Cyrillic а
        (("a.org",), "https://127.0.0.1/"),
        (("a.org",), "https://2130706433/"),
    ],
)
async def test_another_host_may_not(entries: tuple[str, ...], url: str) -> None:
    with pytest.raises(PermissionDenied) as caught:
        await guard(*entries).check(url)
    assert caught.value.reason == "HOST_NOT_ALLOWED"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.1.1", "169.254.169.254",
        "169.254.170.2", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:807f:fffe", "2001:db8::1",
        "64:ff9b:1::a00:1",
    ],
)  # fmt: skip
async def test_a_listed_host_at_an_inner_address_may_not(address: str) -> None:
    for addresses in ((address,), (PUBLIC, address)):
        with pytest.raises(PermissionDenied) as caught:
            await guard("a.org", to=addresses).check("https://a.org/")
        assert caught.value.reason == "ADDRESS_NOT_ALLOWED"


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
async def test_a_public_address_may(address: str) -> None:
    assert (await guard("a.org", to=(address,)).check("https://a.org/")).addresses == (address,)


async def test_exemptions() -> None:
    inner = ("10.1.2.3",)
    by_host = guard(exempt_hosts=("mirror.local",), to=inner)
    assert (await by_host.check("http://mirror.local:8080/")).port == 8080
    by_network = guard("a.org", exempt_networks=(ipaddress.ip_network("10.1.0.0/16"),), to=inner)
    assert (await by_network.check("https://a.org/")).addresses == inner
    elsewhere = guard("a.org", exempt_networks=(ipaddress.ip_network("10.2.0.0/16"),), to=inner)
    with pytest.raises(PermissionDenied):
        await elsewhere.check("https://a.org/")
    # An address range exempts no host from the list.
    with pytest.raises(PermissionDenied):
        await by_network.check("https://10.1.2.3/")


async def test_no_exemption_reaches_a_metadata_service() -> None:
    everything = tuple(map(ipaddress.ip_network, ("0.0.0.0/0", "::/0")))
    for address in ("169.254.169.254", "::ffff:169.254.169.254", "168.63.129.16", "fd00:ec2::254"):
        open_guard = guard("a.org", exempt_hosts=("a.org",), exempt_networks=everything, to=(address,))
        with pytest.raises(PermissionDenied):
            await open_guard.check("https://a.org/")


@pytest.mark.parametrize(
    "url",
    ["ftp://a.org/", "file:///etc/passwd", "https:///x", "a.org/x", "https://user:pw@a.org/", "https://a.org@b.org/",
     "https://a.org:99999/", "https://[::1/", "https://a.org/\r\nHost: b.org", "https://a.org/a b", "", "https://a..org/"],
)  # fmt: skip
async def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await guard("a.org", "b.org").check(url)
    assert caught.value.reason == "BAD_URI"
    assert "pw" not in caught.value.message


async def test_a_name_that_does_not_resolve_is_unavailable() -> None:
    async def failing(host: str, port: int) -> tuple[str, ...]:
        raise OSError("no such name")

    for resolver in (failing, resolving()):
        with pytest.raises(Unavailable):
            await Guard(("a.org",), resolve=resolver).check("https://a.org/")


async def test_the_system_resolver_reads_addresses() -> None:
    assert await system_resolver("127.0.0.1", 80) == ("127.0.0.1",)
    # What some resolvers take for an address is checked as the address that it is.
    with pytest.raises(BookmillError, match="not a public address"):
        await Guard(("2130706433",)).check("http://2130706433/")
