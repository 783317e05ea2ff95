"""Failed authentications: a few events, however many there are.

The first failure from a network for a reason is an event at once; those that follow within
`failures_s` are counted, and become one event when that time is over. So what somebody tries now
and then is seen as it happens, and a flood is two events per network, reason and turn.

Failure behavior: at most `failures_max` networks and reasons are told apart at a time; further ones
are counted together, as the network `other`. A process that is killed loses the counts of its
running turn, not the first failures.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from dataclasses import dataclass

from helixflow.clock import Clock
from helixflow.settings import ShippingSettings
from helixflow.signals import Event, EventKind, Fact, Signals

_PREFIXES = {4: 24, 6: 48}
_UNKNOWN = "unknown"
_OTHER = "other"


@dataclass(slots=True)
class _Run:
    """Failures after the first one: how many, and when (epoch seconds)."""

    count: int
    first_at: float
    last_at: float
    ends_at: float


class AuthenticationFailures:
    """Collects failures and records them as events of kind `AUTHENTICATION_FAILED`.

    Facts of an event: `network`, `reason`, `count`, `first_at`, `last_at` (epoch seconds).
    """

    def __init__(self, signals: Signals, settings: ShippingSettings, clock: Clock) -> None:
        self._signals = signals
        self._settings = settings
        self._clock = clock
        self._runs: dict[tuple[str, str], _Run] = {}

    def note(self, source: str, reason: str) -> None:
        """Somebody at an address failed to authenticate, for a reason (a `Refusal`'s value)."""
        now = self._clock.now()
        key = (network_of(source), reason)
        run = self._runs.get(key)
        if run is None and len(self._runs) >= self._settings.failures_max:
            key = (_OTHER, reason)
            run = self._runs.get(key)
        if run is None:
            ends_at = self._clock.monotonic() + self._settings.failures_s
            self._runs[key] = _Run(0, now, now, ends_at)
            self._record(key, 1, now, now)
            return
        if not run.count:
            run.first_at = now
        run.count += 1
        run.last_at = now

    def tell(self, *, everything: bool = False) -> None:
        """Record the turns that are over, or all of them where the process ends."""
        now = self._clock.monotonic()
        for key, run in list(self._runs.items()):
            if everything or run.ends_at <= now:
                del self._runs[key]
                if run.count:
                    self._record(key, run.count, run.first_at, run.last_at)

    async def run(self) -> None:
        """Tell, forever; ends by cancellation."""
        while True:
            await asyncio.sleep(self._settings.failures_s)
            self.tell()

    def _record(self, key: tuple[str, str], count: int, first_at: float, last_at: float) -> None:
        network, reason = key
        facts: dict[str, Fact] = {
            "network": network,
            "reason": reason,
            "count": count,
            "first_at": first_at,
            "last_at": last_at,
        }
        event_id = "authf_" + secrets.token_hex(16)
        self._signals.record(Event(EventKind.AUTHENTICATION_FAILED, last_at, event_id, facts))


def network_of(source: str) -> str:
    """The network of an address: its /24 or /48; `unknown` for what is no address."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return _UNKNOWN
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(ipaddress.ip_network((address.packed, _PREFIXES[address.version]), strict=False))
