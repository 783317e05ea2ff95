"""Which networks a credential may be used from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_KEPT_MAX = 4096


def within(source: str, cidrs: tuple[str, ...] | None) -> bool:
    """Whether an address is in one of the networks; None means everywhere.

    An address that is not known is nowhere. An IPv4 address that came as IPv6 (`::ffff:10.0.0.1`)
    is the IPv4 address.
    """
    if cidrs is None:
        return True
    address = _address(source)
    return address is not None and any(address in _network(cidr) for cidr in cidrs)


def plain(source: str) -> str:
    """An address in its one spelling; empty for what is none."""
    address = _address(source)
    return "" if address is None else str(address)


def normalize(cidrs: Iterable[str]) -> frozenset[str]:
    """The networks in one spelling. Raises `ValueError` naming the first that is not one."""
    return frozenset(str(ip_network(cidr)) for cidr in cidrs)


@lru_cache(maxsize=_KEPT_MAX)
def _address(source: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=_KEPT_MAX)
def _network(cidr: str) -> IPv4Network | IPv6Network:
    return ip_network(cidr)
