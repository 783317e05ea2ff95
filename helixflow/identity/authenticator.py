"""How an Ingress knows its callers: from a kept verdict, or by asking Auth once.

Failure behavior: while Auth or its database is away, callers whose verdict is kept go on until it
expires (`verdict_s`); all others get `Unavailable` (`auth_unavailable`) with a time to come back,
within `call_s`. More than `lookups_max` different unknown credentials at once are refused with
`Overloaded`. A caller that hangs up during a look-up does not take the others down that wait for
the same answer.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias

from helixflow.clock import Clock
from helixflow.errors import Forbidden, Overloaded, Refusal, Refused, Unauthenticated, Unavailable
from helixflow.identity.access_tokens import TOKEN_LENGTH_MAX, looks_like_token
from helixflow.identity.keys import KEY_LENGTH_MAX, KeyKind, digest, parse
from helixflow.identity.networks import within
from helixflow.identity.ports import Authority, Verdict
from helixflow.identity.verdicts import VerdictCache
from helixflow.inference.principal import Principal
from helixflow.settings import IdentitySettings
from helixflow.signals import Metric, Signals

_LENGTH_MAX = max(KEY_LENGTH_MAX, TOKEN_LENGTH_MAX) + 1
_RETRY_AFTER_S = 1.0
_ATTEMPTS_MAX = 4
_MISSING = "You did not provide an API key. Send it in the header `Authorization: Bearer YOUR_KEY`."
_MALFORMED = "Incorrect API key provided. Check that it was copied whole; it begins with `hx-`."
_ELSEWHERE = "This API key may not be used from this address."
_AWAY = "Authentication is not available right now."
_HIT = (("outcome", "hit"),)

AskAboutToken: TypeAlias = Callable[[str], Awaitable[Verdict]]
"""Asks Auth about an access token, which unlike a key must be read to be checked."""

_Ask: TypeAlias = Callable[[], Awaitable[Verdict]]
_Outcome: TypeAlias = Verdict | Refused


class Authenticator:
    """What an Ingress replica holds. For one event loop; no thread but its own may call it."""

    def __init__(
        self,
        authority: Authority,
        settings: IdentitySettings,
        clock: Clock,
        signals: Signals,
        call_s: float = 1.0,
        tokens: AskAboutToken | None = None,
    ) -> None:
        self._tokens = tokens
        self._authority = authority
        self._clock = clock
        self._signals = signals
        self._call_s = call_s
        self._lookups_max = settings.lookups_max
        self._cache = VerdictCache(settings)
        self._flights: dict[bytes, asyncio.Task[_Outcome]] = {}

    @property
    def revision(self) -> int:
        """The newest identity revision that this Ingress knows; -1 before any."""
        return self._cache.revision

    def cached(self, credential: str | None, source: str = "") -> Principal | None:
        """Who this is, if that is known without asking. Never waits; a few microseconds.

        `source` is the client's address; a credential that is bound to networks needs it.
        """
        if credential is None:
            return None
        try:
            key = hashlib.sha256(credential.encode("ascii")).digest()
        except UnicodeEncodeError:
            return None
        verdict = self._cache.get(key, self._clock.monotonic())
        if verdict is None or not within(source, verdict.cidrs):
            return None
        if verdict.principal is not None:
            self._signals.count(Metric.VERDICT_LOOKUPS, _HIT)
        return verdict.principal

    async def authenticate(self, credential: str | None, source: str = "") -> Principal:
        """Who this is. Raises `Unauthenticated`, `Forbidden`, `Unavailable` or `Overloaded`."""
        if not credential:
            raise Unauthenticated(Refusal.MISSING_API_KEY, _MISSING)
        key = digest(credential[:_LENGTH_MAX])
        verdict = self._cache.get(key, self._clock.monotonic())
        if verdict is None:
            verdict = await self._ask_once(key, self._question(credential, key))
        if verdict.principal is None:
            raise _fresh(verdict.refused)
        if not within(source, verdict.cidrs):
            raise Forbidden(Refusal.PERMISSION_DENIED, _ELSEWHERE)
        return verdict.principal

    async def poll_revision(self) -> None:
        """Ask Auth for the newest revision. Raises `Unavailable` where it does not answer."""
        known = self._cache.revision
        try:
            async with asyncio.timeout(self._call_s):
                revision = await self._authority.revision()
        except (TimeoutError, OSError) as error:
            raise _away() from error
        if revision < known:
            self._cache.set_back(revision)
        else:
            self._cache.learn(revision)

    def learn_revision(self, revision: int) -> None:
        """A pushed revision; one that is older than what is known is no news."""
        self._cache.learn(revision)

    async def aclose(self) -> None:
        """End the look-ups that are under way; their callers are told that Auth is away."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    def _question(self, credential: str, key: bytes) -> _Ask:
        """What to ask Auth about a credential. Raises `Unauthenticated` for what cannot be one."""
        if len(credential) <= KEY_LENGTH_MAX and isinstance(parse(credential), KeyKind):
            return partial(self._authority.verify, key)
        if self._tokens is not None and looks_like_token(credential):
            return partial(self._tokens, credential)
        self._count("malformed")
        raise Unauthenticated(Refusal.INVALID_API_KEY, _MALFORMED)

    async def _ask_once(self, key: bytes, ask: _Ask) -> Verdict:
        """Ask Auth, or wait for whoever is asking about the same credential."""
        flight = self._flights.get(key)
        if flight is None:
            if len(self._flights) >= self._lookups_max:
                self._count("overloaded")
                raise Overloaded(
                    Refusal.OVERLOADED,
                    "Too many unknown credentials are being checked.",
                    retry_after_s=_RETRY_AFTER_S,
                )
            # An empty context: the look-up must not end with the request that began it.
            flight = asyncio.create_task(self._look_up(key, ask), context=contextvars.Context())
            self._flights[key] = flight
            flight.add_done_callback(lambda _: self._flights.pop(key, None))
        # `wait` leaves the flight alone when this caller is cancelled, and does not raise for it.
        await asyncio.wait({flight})
        outcome = _away() if flight.cancelled() else flight.result()
        if isinstance(outcome, Refused):
            raise _fresh(outcome)
        return outcome

    async def _look_up(self, key: bytes, ask: _Ask) -> _Outcome:
        """Ask until the answer is as new as what is known; at most `call_s` in all.

        Several answers in a row that are older than what is known mean that the store went back;
        the next poll finds that out.
        """
        try:
            async with asyncio.timeout(self._call_s):
                for _ in range(_ATTEMPTS_MAX):
                    asked_at, epoch_at = self._clock.monotonic(), self._clock.now()
                    verdict = await ask()
                    if isinstance(verdict.refused, Unavailable):
                        raise verdict.refused  # no verdict at all, whatever it came as
                    if self._cache.put(key, verdict, asked_at, epoch_at):
                        self._count("invalid" if verdict.principal is None else "valid")
                        return verdict
                    self._count("outdated")
                return _away()
        except Refused as refused:
            self._count("unavailable")
            return refused
        except (TimeoutError, OSError):
            self._count("unavailable")
            return _away()

    def _count(self, outcome: str) -> None:
        self._signals.count(Metric.VERDICT_LOOKUPS, (("outcome", outcome),))


def _away() -> Unavailable:
    return Unavailable(Refusal.AUTH_UNAVAILABLE, _AWAY, retry_after_s=_RETRY_AFTER_S)


def _fresh(refused: Refused | None) -> Refused:
    """A copy to raise: a kept exception would gather the tracebacks of all who raise it."""
    return _away() if refused is None else Refused.from_wire(refused.to_wire())
