from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helixflow.errors import Forbidden
from helixflow.identity.authenticator import Authenticator
from helixflow.identity.networks import normalize, plain, within
from helixflow.identity.ports import Verdict
from helixflow.settings import IdentitySettings
from helixflow.signals import NullSignals
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import StaticAuthority


@given(st.ip_addresses(), st.integers(0, 32))
def test_an_address_is_within_a_network_that_holds_it(
    address: IPv4Address | IPv6Address, prefix: int
) -> None:
    assume(isinstance(address, IPv4Address) or address.ipv4_mapped is None)
    network = ip_network(f"{address}/{prefix}", strict=False)
    assert within(str(address), (str(network),))
    other = ip_address(int(network.network_address) ^ (1 << (network.max_prefixlen - 1)))
    mapped = isinstance(other, IPv6Address) and other.ipv4_mapped is not None
    if prefix > 0 and other.version == network.version and not mapped:
        assert not within(str(other), (str(network),))


def test_no_list_means_everywhere_and_an_unknown_address_is_nowhere() -> None:
    assert within("", None)
    for source in ("", "unknown", "10.0.0.1:80", "\x00"):
        assert not within(source, ("0.0.0.0/0", "::/0"))


def test_an_ipv4_address_is_known_in_its_ipv6_coat() -> None:
    assert within("::ffff:10.1.2.3", ("10.0.0.0/8",))
    assert not within("::ffff:11.1.2.3", ("10.0.0.0/8",))
    assert not within("::ffff:10.1.2.3", ("::/0",))


def test_networks_get_one_spelling() -> None:
    assert normalize(["10.0.0.1", "2001:DB8::/32"]) == {"10.0.0.1/32", "2001:db8::/32"}
    with pytest.raises(ValueError, match="host bits"):
        normalize(["10.0.0.1/8"])


class Bound(StaticAuthority):
    """Knows keys that are bound to a network."""

    async def verify(self, digest: bytes) -> Verdict:
        verdict = await super().verify(digest)
        return Verdict(verdict.principal, None, verdict.revision, None, ("10.0.0.0/8",))


async def test_a_key_is_refused_elsewhere_whether_its_verdict_is_kept_or_not() -> None:
    authority = Bound()
    text = authority.admit()
    subject = Authenticator(authority, IdentitySettings(), ManualClock(), NullSignals())
    for source in ("", "11.0.0.1"):
        with pytest.raises(Forbidden):
            await subject.authenticate(text, source)
        assert subject.cached(text, source) is None
    assert await subject.authenticate(text, "10.0.0.1")
    assert subject.cached(text, "10.0.0.1") is not None
    assert authority.asked == 1


@pytest.mark.parametrize(
    ("source", "spelled"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("FE80:0::1%eth0", "fe80::1"),
        ("handle", ""),
        ("", ""),
    ],
)
def test_an_address_has_one_spelling(source: str, spelled: str) -> None:
    assert plain(source) == spelled
