from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from helixflow.errors import Overloaded, Refusal, Refused, Unauthenticated, Unavailable
from helixflow.identity.authenticator import Authenticator
from helixflow.identity.keys import KeyKind, digest, mint
from helixflow.identity.ports import Authority, Verdict
from helixflow.settings import IdentitySettings
from helixflow.signals import Labels, Metric, NullSignals
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import HeldAuthority, StaticAuthority, some_principal

SETTINGS = IdentitySettings(verdict_s=60, negative_verdict_s=5, verdicts_max=100, lookups_max=4)


class Counted(NullSignals):
    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def count(self, metric: Metric, labels: Labels = (), by: float = 1.0) -> None:
        assert metric is Metric.VERDICT_LOOKUPS
        self.outcomes.append(dict(labels)["outcome"])


def authenticator(
    authority: Authority, clock: ManualClock | None = None, call_s: float = 1.0
) -> Authenticator:
    return Authenticator(authority, SETTINGS, clock or ManualClock(), NullSignals(), call_s)


@pytest.fixture
async def held() -> AsyncIterator[tuple[HeldAuthority, Authenticator]]:
    authority = HeldAuthority()
    subject = authenticator(authority)
    yield authority, subject
    await subject.aclose()


def some_text() -> str:
    return mint(KeyKind.PROJECT).secret.reveal()


async def turn() -> None:
    """Let everything that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_known_key_is_asked_about_once() -> None:
    authority = StaticAuthority()
    who = some_principal()
    text = authority.admit(who)
    subject = authenticator(authority)
    assert subject.cached(text) is None
    assert await subject.authenticate(text) == who
    assert subject.cached(text) == who
    assert await subject.authenticate(text) == who
    assert authority.asked == 1


@pytest.mark.parametrize("credential", [None, ""])
async def test_no_credential_is_told_so(credential: str | None) -> None:
    authority = StaticAuthority()
    with pytest.raises(Unauthenticated) as caught:
        await authenticator(authority).authenticate(credential)
    assert caught.value.reason is Refusal.MISSING_API_KEY
    assert authenticator(authority).cached(credential) is None


@pytest.mark.parametrize("credential", ["sk-abc", "x" * 100_000, "hx-proj-é", "\ud800"])
async def test_what_cannot_be_a_key_is_refused_without_asking(credential: str) -> None:
    authority = StaticAuthority()
    subject = authenticator(authority)
    with pytest.raises(Unauthenticated) as caught:
        await subject.authenticate(credential)
    assert caught.value.reason is Refusal.INVALID_API_KEY
    assert credential not in caught.value.message
    assert subject.cached(credential) is None
    assert authority.asked == 0


async def test_an_unknown_key_is_refused_and_remembered_for_a_while() -> None:
    authority, clock = StaticAuthority(), ManualClock()
    subject, text = authenticator(authority, clock), some_text()
    errors: list[Refused] = []
    for _ in range(2):
        with pytest.raises(Unauthenticated) as caught:
            await subject.authenticate(text)
        errors.append(caught.value)
    assert authority.asked == 1
    assert errors[0] is not errors[1]
    assert subject.cached(text) is None
    clock.advance(5.0)
    with pytest.raises(Unauthenticated):
        await subject.authenticate(text)
    assert authority.asked == 2


async def test_many_callers_of_one_key_ask_once(held: tuple[HeldAuthority, Authenticator]) -> None:
    authority, subject = held
    text, who = some_text(), some_principal()
    callers = [asyncio.create_task(subject.authenticate(text)) for _ in range(20)]
    await turn()
    ((asked, answer),) = authority.questions
    assert asked == digest(text)
    answer.set_result(Verdict(who, None, 1))
    assert await asyncio.gather(*callers) == [who] * 20


async def test_who_hangs_up_does_not_take_the_others_down(
    held: tuple[HeldAuthority, Authenticator],
) -> None:
    authority, subject = held
    text, who = some_text(), some_principal()
    first = asyncio.create_task(subject.authenticate(text))
    await turn()
    second = asyncio.create_task(subject.authenticate(text))
    await turn()
    first.cancel()
    await turn()
    authority.questions.popleft()[1].set_result(Verdict(who, None, 1))
    assert await second == who
    assert first.cancelled()


async def test_an_answer_that_nobody_waits_for_is_kept(
    held: tuple[HeldAuthority, Authenticator],
) -> None:
    authority, subject = held
    text, who = some_text(), some_principal()
    caller = asyncio.create_task(subject.authenticate(text))
    await turn()
    caller.cancel()
    authority.questions.popleft()[1].set_result(Verdict(who, None, 1))
    await turn()
    assert subject.cached(text) == who


async def test_more_unknown_keys_at_once_than_allowed_are_shed(
    held: tuple[HeldAuthority, Authenticator],
) -> None:
    authority, subject = held
    callers = [asyncio.create_task(subject.authenticate(some_text())) for _ in range(4)]
    await turn()
    with pytest.raises(Overloaded) as caught:
        await subject.authenticate(some_text())
    assert caught.value.retry_after_s == 1.0
    for _, answer in authority.questions:
        answer.set_result(Verdict(some_principal(), None, 1))
    assert len(await asyncio.gather(*callers)) == 4


async def test_a_look_up_that_a_revocation_overtook_is_asked_again(
    held: tuple[HeldAuthority, Authenticator],
) -> None:
    authority, subject = held
    text = some_text()
    caller = asyncio.create_task(subject.authenticate(text))
    await turn()
    subject.learn_revision(2)
    authority.questions.popleft()[1].set_result(Verdict(some_principal(), None, 1))
    await turn()
    refused = Unauthenticated(Refusal.INVALID_API_KEY, "revoked meanwhile")
    authority.questions.popleft()[1].set_result(Verdict(None, refused, 2))
    with pytest.raises(Unauthenticated, match="revoked meanwhile"):
        await caller
    assert subject.revision == 2


async def test_answers_that_stay_behind_are_given_up(
    held: tuple[HeldAuthority, Authenticator],
) -> None:
    authority, subject = held
    subject.learn_revision(9)
    caller = asyncio.create_task(subject.authenticate(some_text()))
    asked = 0
    while not caller.done():
        await turn()
        while authority.questions:
            asked += 1
            authority.questions.popleft()[1].set_result(Verdict(some_principal(), None, 3))
    with pytest.raises(Unavailable):
        await caller
    assert asked == 4


async def test_a_poll_drops_the_verdicts_before_a_revocation() -> None:
    authority = StaticAuthority()
    text = authority.admit()
    subject = authenticator(authority)
    await subject.authenticate(text)
    await subject.poll_revision()
    assert subject.cached(text) is not None
    authority.revoke(text)
    await subject.poll_revision()
    assert subject.cached(text) is None
    with pytest.raises(Unauthenticated):
        await subject.authenticate(text)


async def test_a_poll_that_sees_an_older_store_starts_afresh() -> None:
    authority = StaticAuthority()
    text = authority.admit()
    authority.raised = 50
    subject = authenticator(authority)
    await subject.authenticate(text)
    authority.raised = 7
    await subject.poll_revision()
    assert subject.revision == 7
    assert subject.cached(text) is None
    assert await subject.authenticate(text)


async def test_auth_away_leaves_warm_callers_alone_and_tells_cold_ones() -> None:
    authority, clock = StaticAuthority(), ManualClock()
    text, other = authority.admit(), authority.admit()
    subject = authenticator(authority, clock)
    who = await subject.authenticate(text)
    authority.away = True
    with pytest.raises(Unavailable):
        await subject.poll_revision()
    clock.advance(59)
    assert await subject.authenticate(text) == who
    with pytest.raises(Unavailable) as caught:
        await subject.authenticate(other)
    assert caught.value.reason is Refusal.AUTH_UNAVAILABLE
    assert caught.value.retry_after_s == 1.0
    clock.advance(1)
    with pytest.raises(Unavailable):
        await subject.authenticate(text)
    authority.away = False
    assert await subject.authenticate(text) == who


class Silent:
    """Auth behind a network that swallows everything."""

    async def verify(self, digest: bytes) -> Verdict:
        await asyncio.Event().wait()
        raise AssertionError

    async def revision(self) -> int:
        await asyncio.Event().wait()
        raise AssertionError


class Broken:
    """Auth behind a network that is not there."""

    async def verify(self, digest: bytes) -> Verdict:
        raise ConnectionResetError

    async def revision(self) -> int:
        raise ConnectionResetError


@pytest.mark.parametrize("authority", [Silent(), Broken()])
async def test_an_auth_that_never_answers_is_given_up_in_time(authority: Authority) -> None:
    subject = authenticator(authority, call_s=0.01)
    with pytest.raises(Unavailable):
        await subject.authenticate(some_text())
    with pytest.raises(Unavailable):
        await subject.poll_revision()


async def test_an_unavailable_that_comes_as_a_verdict_is_not_kept(
    held: tuple[HeldAuthority, Authenticator],
) -> None:
    authority, subject = held
    text, who = some_text(), some_principal()
    away = Unavailable(Refusal.AUTH_UNAVAILABLE, "away", retry_after_s=1.0)
    for verdict in (Verdict(None, away, -1), Verdict(who, None, 1)):
        caller = asyncio.create_task(subject.authenticate(text))
        await turn()
        authority.questions.popleft()[1].set_result(verdict)
        if verdict.principal is None:
            with pytest.raises(Unavailable, match="away"):
                await caller
        else:
            assert await caller == who


async def test_closing_tells_those_who_wait(held: tuple[HeldAuthority, Authenticator]) -> None:
    _, subject = held
    caller = asyncio.create_task(subject.authenticate(some_text()))
    await turn()
    await subject.aclose()
    with pytest.raises(Unavailable):
        await caller


async def test_look_ups_are_counted_by_outcome() -> None:
    authority, signals = StaticAuthority(), Counted()
    subject = Authenticator(authority, SETTINGS, ManualClock(), signals)
    await subject.authenticate(authority.admit())
    for credential in (some_text(), "sk-x"):
        with pytest.raises(Unauthenticated):
            await subject.authenticate(credential)
    authority.away = True
    with pytest.raises(Unavailable):
        await subject.authenticate(some_text())
    assert signals.outcomes == ["valid", "invalid", "malformed", "unavailable"]


async def test_a_warm_key_costs_microseconds() -> None:
    authority = StaticAuthority()
    text = authority.admit()
    subject = authenticator(authority)
    await subject.authenticate(text)
    best = min(_seconds(subject, text) for _ in range(20))
    assert best < 50e-6


def _seconds(subject: Authenticator, text: str) -> float:
    begun = time.perf_counter()
    for _ in range(100):
        subject.cached(text)
    return (time.perf_counter() - begun) / 100


async def test_an_answer_from_the_cache_is_counted_as_a_hit() -> None:
    authority, counted = StaticAuthority(), Counted()
    text = authority.admit(some_principal())
    subject = Authenticator(authority, SETTINGS, ManualClock(), counted, 1.0)
    await subject.authenticate(text)
    assert subject.cached(text) is not None
    assert counted.outcomes == ["valid", "hit"]
