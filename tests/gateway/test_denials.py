from __future__ import annotations

from helixflow.errors import Forbidden, Refusal, Unauthenticated
from helixflow.gateway.denials import Denials
from helixflow.signals import EventKind
from helixflow.testing.clock import ManualClock
from helixflow.testing.identity import some_principal
from helixflow.testing.signals import RecordingSignals

NO = Forbidden(Refusal.PERMISSION_DENIED, "No.")


class Noted:
    """Failed authentications, as they came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def note(self, source: str, reason: str) -> None:
        self.seen.append((source, reason))


def test_a_denial_is_told_with_who_what_and_why() -> None:
    signals, who = RecordingSignals(), some_principal()
    Denials(signals, ManualClock()).forbidden(who, "model:invoke", "echo-1", "10.0.0.1", NO)
    (event,) = signals.events
    assert event.kind is EventKind.AUTHORIZATION_DENIED
    assert event.facts["key"] == who.key
    assert event.facts["permission"] == "model:invoke"
    assert event.facts["target"] == "echo-1"
    assert event.facts["reason"] == "permission_denied"
    assert event.facts["count"] == 1


def test_repetitions_become_a_count() -> None:
    signals, clock, who = RecordingSignals(), ManualClock(), some_principal()
    denials = Denials(signals, clock)
    for _ in range(5):
        denials.forbidden(who, "model:invoke", "echo-1", "", NO)
    denials.forbidden(who, "model:invoke", "another", "", NO)
    clock.advance(10.0)
    denials.forbidden(who, "model:invoke", "echo-1", "", NO)
    counts = [(event.facts["target"], event.facts["count"]) for event in signals.events]
    assert counts == [("echo-1", 1), ("another", 1), ("echo-1", 5)]
    assert len({event.id for event in signals.events}) == 3


def test_what_is_told_apart_is_bounded() -> None:
    signals, who = RecordingSignals(), some_principal()
    denials = Denials(signals, ManualClock())
    for number in range(5000):
        denials.forbidden(who, "model:invoke", f"m{number}", "", NO)
    denials.forbidden(who, "model:invoke", "m4999", "", NO)
    assert len(signals.events) == 5000
    denials.forbidden(who, "model:invoke", "m0", "", NO)
    assert len(signals.events) == 5001


def test_failed_authentications_go_to_whoever_collects_them() -> None:
    noted, refused = Noted(), Unauthenticated(Refusal.INVALID_API_KEY, "No.")
    Denials(RecordingSignals(), ManualClock(), noted).unauthenticated("10.0.0.1", refused)
    assert noted.seen == [("10.0.0.1", "invalid_api_key")]
    Denials(RecordingSignals(), ManualClock()).unauthenticated("10.0.0.1", refused)
