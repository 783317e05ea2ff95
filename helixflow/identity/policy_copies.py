"""The compiled policies that an Ingress holds: by fingerprint, bounded, fetched when first needed.

A fingerprint names one set of texts for ever, so a copy is never wrong, only unused; which one
holds for a caller is said by its verdict, and changes with it.

Failure behavior: while Auth is away, callers whose policies are here go on. For others `fetch`
raises `Unavailable` (`auth_unavailable`) within `call_s`: what cannot be asked is not permitted.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from typing import TypeAlias

from helixflow.errors import Refusal, Refused, Unavailable
from helixflow.identity.cedar import Circumstances, CompiledPolicies, Target
from helixflow.identity.permissions import Allow, Decision, Deny
from helixflow.identity.ports import PolicySet, PolicySource
from helixflow.inference.principal import Principal

_DECISIONS_MAX = 1024
_ALLOW = Allow()
_NONE = CompiledPolicies({})

_Outcome: TypeAlias = CompiledPolicies | Refused


class PolicyCopies:
    """What an Ingress replica holds. For one event loop."""

    def __init__(self, source: PolicySource, sets_max: int, call_s: float = 1.0) -> None:
        self._source = source
        self._sets_max = sets_max
        self._call_s = call_s
        self._held: OrderedDict[str, CompiledPolicies] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Outcome]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def held(self, principal: Principal) -> CompiledPolicies | None:
        """The policies of a caller if they are here; None sends the caller to `fetch`."""
        if not principal.policies:
            return _NONE
        found = self._held.get(principal.policies)
        if found is not None:
            self._held.move_to_end(principal.policies)
        return found

    async def fetch(self, principal: Principal) -> CompiledPolicies:
        """The policies of a caller, from Auth. Raises `Unavailable`."""
        place = principal.policies
        flight = self._flights.get(place)
        if flight is None:
            # An empty context: the fetch must not end with the request that began it.
            flight = asyncio.create_task(self._get(principal), context=contextvars.Context())
            self._flights[place] = flight
            flight.add_done_callback(lambda _: self._flights.pop(place, None))
        await asyncio.wait({flight})
        outcome = _away() if flight.cancelled() else flight.result()
        if isinstance(outcome, Refused):
            raise Refused.from_wire(outcome.to_wire())
        return outcome

    async def _get(self, principal: Principal) -> _Outcome:
        try:
            async with asyncio.timeout(self._call_s):
                told = await self._source.policies(principal.organization, principal.project)
        except Refused as refused:
            return refused
        except (TimeoutError, OSError):
            return _away()
        # Auth may know a later set than the one asked for; that one holds then.
        held = self._held.get(told.fingerprint)
        if held is None:
            held = await asyncio.to_thread(_compiled, told)
            while len(self._held) >= self._sets_max:
                self._held.popitem(last=False)
            self._held[told.fingerprint] = held
        return held


def decision(
    policies: CompiledPolicies,
    principal: Principal,
    action: str,
    target: Target,
    circumstances: Circumstances,
) -> Decision:
    """What a caller's policies say. Its permissions are checked before this."""
    judgement = policies.decide(principal, action, target, circumstances)
    if judgement.allowed:
        return _ALLOW
    if judgement.errors:
        why = " (a policy could not be evaluated)"
    elif judgement.because:
        why = f" ({', '.join(judgement.because)})"
    else:
        why = " (no policy permits it)"
    message = f"The policies of your organization do not permit {action} on {target.id!r}{why}."
    return Deny(Refusal.PERMISSION_DENIED, message)


def _compiled(told: PolicySet) -> CompiledPolicies:
    return CompiledPolicies(dict(told.texts), _DECISIONS_MAX)


def _away() -> Unavailable:
    return Unavailable(
        Refusal.AUTH_UNAVAILABLE,
        "The policies that hold for this request are not available right now.",
        retry_after_s=1.0,
    )
