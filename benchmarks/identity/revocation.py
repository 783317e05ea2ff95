"""How soon a revoked key is refused everywhere.

Connections ask again and again with one key, over the front door, so that every Ingress replica
comes to know it; then an admin key revokes it. Time counts from the admin call's answer until a
connection is refused for good: until the 401 after which nothing is accepted on it. HAProxy spreads
the requests of one connection over the replicas, so a first 401 alone would say too little.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.identity.session import Session
from benchmarks.load.crew import LoadFailed
from benchmarks.load.outcome import Outcome
from benchmarks.scenarios.ports import Probed
from benchmarks.stats.spread import quantile
from benchmarks.systems.helixflow_stack import ADMIN_KEY
from benchmarks.systems.ports import Running

_PROJECTS = "/v1/organization/projects"
_MODELS = "/v1/models"
_ACCEPTED, _REFUSED = 200, 401
_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer on a connection: when it was asked for, when it came (monotonic seconds)."""

    sent: float
    came: float
    status: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """What one connection saw of a revocation.

    Attributes:
        first_ms: from the revocation's answer to the first 401; 0 where that came before.
        for_good_ms: the same to the 401 after which nothing was accepted.
        accepted_after: requests that were sent after the revocation's answer and accepted.
    """

    first_ms: float
    for_good_ms: float
    accepted_after: int


def refusal(answers: Sequence[Answer], revoked: float) -> Refusal | None:
    """What these answers, in their order, say; None where the key was accepted to the end."""
    refused = [n for n, answer in enumerate(answers) if answer.status == _REFUSED]
    accepted = [n for n, answer in enumerate(answers) if answer.status == _ACCEPTED]
    last_accepted = accepted[-1] if accepted else -1
    for_good = next((n for n in refused if n > last_accepted), None)
    if for_good is None:
        return None
    return Refusal(
        first_ms=max(0.0, answers[refused[0]].came - revoked) * 1e3,
        for_good_ms=max(0.0, answers[for_good].came - revoked) * 1e3,
        accepted_after=sum(answers[n].sent > revoked for n in accepted),
    )


def outcome_of(watched: Sequence[Sequence[Answer]], revoked: float) -> tuple[Outcome, int]:
    """The times of all connections, and how many requests were accepted too late."""
    outcome, accepted_after = Outcome(), 0
    for answers in watched:
        for answer in answers:
            if answer.status not in (_ACCEPTED, _REFUSED):
                kind = f"status_{answer.status}"
                outcome.errors[kind] = outcome.errors.get(kind, 0) + 1
        seen = refusal(answers, revoked)
        if seen is None:
            outcome.errors["never_refused"] = outcome.errors.get("never_refused", 0) + 1
            continue
        outcome.latency_ms.append(seen.for_good_ms)
        outcome.first_ms.append(seen.first_ms)
        accepted_after += seen.accepted_after
    return outcome, accepted_after


@dataclass(frozen=True, slots=True)
class Revocation:
    """Implements `Probe`: `keys` revocations, each seen by `connections`.

    Attributes:
        known_s: how long a key is used before it is revoked, `watch_s` how long after.
    """

    name: str
    title: str
    keys: int
    connections: int
    known_s: float = 1.0
    watch_s: float = 2.0

    def prepare(self, running: Running) -> None:
        """One call of each kind, so that nothing is done for the first time later."""
        asyncio.run(_once(running))

    def measure(self, running: Running) -> Probed:
        """Revoke keys one after the other, and watch."""
        return asyncio.run(self._measure(running))

    async def _measure(self, running: Running) -> Probed:
        admin = await _admin(running)
        try:
            project = await _project(admin)
            path = f"{_PROJECTS}/{project}/api_keys"
            made = [await _create(admin, path, f"benchmark {n}") for n in range(self.keys)]
            parts, late = [], 0
            for key, value in made:
                watched, revoked = await self._revoke(running, admin, f"{path}/{key}", value)
                part, accepted_after = outcome_of(watched, revoked)
                parts.append(part)
                late += accepted_after
        finally:
            await admin.close()
        outcome = Outcome.merge(parts)
        return Probed(_figures(outcome, late, self.keys), outcome)

    async def _revoke(
        self, running: Running, admin: Session, path: str, value: str
    ) -> tuple[list[list[Answer]], float]:
        """What every connection was answered, and when the revocation was."""
        host, port = running.host, running.port
        sessions = [await Session.connect(host, port, value) for _ in range(self.connections)]
        over = asyncio.Event()
        watching = [asyncio.ensure_future(_watch(session, over)) for session in sessions]
        try:
            await asyncio.sleep(self.known_s)
            await admin.call("DELETE", path)
            revoked = time.monotonic()
            await asyncio.sleep(self.watch_s)
        finally:
            over.set()
            watched = await asyncio.gather(*watching)
            for session in sessions:
                await session.close()
        return watched, revoked


async def _watch(session: Session, over: asyncio.Event) -> list[Answer]:
    answers = []
    while not over.is_set():
        sent = time.monotonic()
        status, _ = await session.ask("GET", _MODELS)
        answers.append(Answer(sent, time.monotonic(), status))
        await asyncio.sleep(_PAUSE_S)
    return answers


def _figures(outcome: Outcome, late: int, keys: int) -> dict[str, float]:
    return {
        "revoked_first_p50_ms": quantile(outcome.first_ms, 0.5),
        "revoked_p50_ms": quantile(outcome.latency_ms, 0.5),
        "revoked_p99_ms": quantile(outcome.latency_ms, 0.99),
        "revoked_max_ms": max(outcome.latency_ms, default=0.0),
        "accepted_after": late / keys,
    }


async def _admin(running: Running) -> Session:
    key = running.private.get(ADMIN_KEY)
    if key is None:
        raise LoadFailed(f"`helixflow up` left no {ADMIN_KEY}")
    return await Session.connect(running.host, running.port, key)


async def _project(admin: Session) -> str:
    return str((await admin.call("GET", _PROJECTS))["data"][0]["id"])


async def _create(admin: Session, path: str, name: str) -> tuple[str, str]:
    """A fresh key: its id and its text."""
    body = await admin.call("POST", path, {"name": name})
    try:
        return str(body["id"]), str(body["value"])
    except KeyError as error:
        raise LoadFailed(f"the answer to a key's creation has no {error}") from None


async def _once(running: Running) -> None:
    admin = await _admin(running)
    try:
        path = f"{_PROJECTS}/{await _project(admin)}/api_keys"
        key, value = await _create(admin, path, "benchmark warm-up")
        caller = await Session.connect(running.host, running.port, value)
        status, _ = await caller.ask("GET", _MODELS)
        await caller.close()
        if status != _ACCEPTED:
            raise LoadFailed(f"a fresh key was answered with {status}")
        await admin.call("DELETE", f"{path}/{key}")
    finally:
        await admin.close()
