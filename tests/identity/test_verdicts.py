from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from helixflow.errors import Refusal, Unauthenticated
from helixflow.identity.ports import Verdict
from helixflow.identity.verdicts import VerdictCache
from helixflow.inference.principal import Principal
from helixflow.settings import IdentitySettings
from helixflow.testing.identity import some_principal

SETTINGS = IdentitySettings(verdict_s=60, negative_verdict_s=5, verdicts_max=16)
WHO = some_principal()
NO = Unauthenticated(Refusal.INVALID_API_KEY, "no")


def yes(revision: int, expires_at: float | None = None, who: Principal = WHO) -> Verdict:
    return Verdict(who, None, revision, expires_at)


def no(revision: int) -> Verdict:
    return Verdict(None, NO, revision)


def test_a_verdict_lives_from_when_it_was_asked_for() -> None:
    cache = VerdictCache(SETTINGS)
    assert cache.put(b"a", yes(1), asked_at=100.0, epoch_at=0.0)
    assert cache.get(b"a", 159.9) == yes(1)
    assert cache.get(b"a", 160.0) is None
    assert len(cache) == 0


def test_a_refusal_lives_shorter() -> None:
    cache = VerdictCache(SETTINGS)
    cache.put(b"a", no(1), 100.0, 0.0)
    assert cache.get(b"a", 104.9) == no(1)
    assert cache.get(b"a", 105.0) is None
    assert len(cache) == 0


def test_no_verdict_outlives_its_credential() -> None:
    cache = VerdictCache(SETTINGS)
    cache.put(b"a", yes(1, expires_at=1_000_010.0), 100.0, 1_000_000.0)
    assert cache.get(b"a", 109.9) is not None
    assert cache.get(b"a", 110.0) is None


def test_a_raised_revision_drops_every_verdict_before_it() -> None:
    cache = VerdictCache(SETTINGS)
    cache.put(b"a", yes(1), 0.0, 0.0)
    cache.put(b"b", no(1), 0.0, 0.0)
    assert cache.learn(2)
    assert not cache.learn(2)
    assert not cache.learn(1)
    assert cache.get(b"a", 1.0) is None
    assert cache.get(b"b", 1.0) is None


def test_an_answer_teaches_its_revision() -> None:
    cache = VerdictCache(SETTINGS)
    cache.put(b"a", yes(1), 0.0, 0.0)
    cache.put(b"b", yes(2), 0.0, 0.0)
    assert cache.revision == 2
    assert cache.get(b"a", 1.0) is None
    assert cache.get(b"b", 1.0) == yes(2)


def test_an_answer_older_than_what_is_known_is_not_kept() -> None:
    cache = VerdictCache(SETTINGS)
    cache.learn(2)
    assert not cache.put(b"a", yes(1), 0.0, 0.0)
    assert cache.get(b"a", 0.0) is None


def test_a_later_answer_replaces_an_earlier_one_of_either_kind() -> None:
    cache = VerdictCache(SETTINGS)
    cache.put(b"a", no(1), 0.0, 0.0)
    cache.put(b"a", yes(1), 1.0, 0.0)
    assert cache.get(b"a", 2.0) == yes(1)
    cache.put(b"a", no(1), 2.0, 0.0)
    assert cache.get(b"a", 3.0) == no(1)
    assert len(cache) == 1


def test_the_least_recently_used_goes_first() -> None:
    cache = VerdictCache(SETTINGS)
    for number in range(16):
        cache.put(bytes([number]), yes(1), 0.0, 0.0)
    assert cache.get(b"\x00", 1.0) is not None
    cache.put(b"new", yes(1), 1.0, 0.0)
    assert cache.get(b"\x00", 1.0) is not None
    assert cache.get(b"\x01", 1.0) is None


@given(st.lists(st.binary(min_size=1, max_size=4)))
def test_refusals_never_push_out_a_valid_one(flood: list[bytes]) -> None:
    cache = VerdictCache(SETTINGS)
    for number in range(16):
        cache.put(b"valid%d" % number, yes(1), 0.0, 0.0)
    for digest in flood:
        cache.put(digest, no(1), 0.0, 0.0)
    assert all(cache.get(b"valid%d" % number, 1.0) for number in range(16))
    assert len(cache) <= 16 + 2


def test_a_store_that_went_back_voids_everything() -> None:
    cache = VerdictCache(SETTINGS)
    cache.put(b"a", yes(9), 0.0, 0.0)
    cache.set_back(3)
    assert cache.revision == 3
    assert len(cache) == 0
    assert cache.put(b"a", yes(3), 0.0, 0.0)


@dataclass
class _Flight:
    """A look-up on its way: what Auth decided, or None before it has."""

    digest: bytes
    asked_at: float
    decided: Verdict | None = None


KEYS = [bytes([number]) for number in range(4)]
CALL_S = 1.0


class Revocations(RuleBasedStateMachine):
    """Any interleaving of look-ups, decisions, answers, revocations, polls and time.

    The bound: a revoked key is not accepted once this Ingress has learned the revocation's
    revision, by a poll, a push or any other answer, and never later than `verdict_s` after the
    revocation plus the time that a call may take.
    """

    flights = Bundle("flights")
    polls = Bundle("polls")

    def __init__(self) -> None:
        super().__init__()
        self.cache = VerdictCache(SETTINGS)
        self.now = 0.0
        self.revision = 0
        self.revoked: dict[bytes, tuple[int, float]] = {}
        self.learned = -1

    @rule(target=flights, digest=st.sampled_from(KEYS))
    def ask(self, digest: bytes) -> _Flight:
        return _Flight(digest, self.now)

    @rule(flight=flights)
    def decide(self, flight: _Flight) -> None:
        if flight.decided is None:
            valid = flight.digest not in self.revoked
            flight.decided = yes(self.revision) if valid else no(self.revision)

    @rule(flight=consumes(flights))
    def answer(self, flight: _Flight) -> None:
        if flight.decided is None or self.now - flight.asked_at > CALL_S:
            return
        kept = self.cache.put(flight.digest, flight.decided, flight.asked_at, 0.0)
        assert kept == (flight.decided.revision >= self.learned)
        self.learned = max(self.learned, flight.decided.revision)
        if kept and flight.decided.principal is not None:
            self.check_accepted(flight.digest)

    @precondition(lambda self: len(self.revoked) < len(KEYS))
    @rule(digest=st.sampled_from(KEYS))
    def revoke(self, digest: bytes) -> None:
        if digest not in self.revoked:
            self.revision += 1
            self.revoked[digest] = (self.revision, self.now)

    @rule()
    def change_something_else(self) -> None:
        self.revision += 1

    @rule(target=polls)
    def poll(self) -> int:
        return self.revision

    @rule(revision=consumes(polls))
    def learn(self, revision: int) -> None:
        self.cache.learn(revision)
        self.learned = max(self.learned, revision)

    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0, 30.0, 61.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(digest=st.sampled_from(KEYS))
    def call(self, digest: bytes) -> None:
        verdict = self.cache.get(digest, self.now)
        if verdict is not None and verdict.principal is not None:
            self.check_accepted(digest)

    def check_accepted(self, digest: bytes) -> None:
        if digest in self.revoked:
            revision, at = self.revoked[digest]
            assert self.learned < revision
            assert self.now < at + SETTINGS.verdict_s + CALL_S

    @invariant()
    def the_cache_knows_what_it_was_told(self) -> None:
        assert self.cache.revision == self.learned
        assert len(self.cache) <= len(KEYS)


TestRevocations = Revocations.TestCase
TestRevocations.settings = settings(max_examples=30, deadline=None)
