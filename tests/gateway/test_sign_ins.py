from __future__ import annotations

import pytest

from helixflow.errors import InvalidRequest, Refusal, Unauthenticated
from helixflow.gateway.denials import Denials
from helixflow.gateway.sign_ins import SignIns
from helixflow.inference.desk import DeskCall
from helixflow.testing.clock import ManualClock
from helixflow.testing.desk import FakeDesk
from helixflow.testing.identity import some_principal
from helixflow.testing.signals import RecordingSignals

GRANT = DeskCall("token.grant", None, b'{"password": "wrong"}', source="203.0.113.7")
WRONG = Unauthenticated(Refusal.INVALID_API_KEY, "No.")


class Noted:
    """Failed authentications, as they came."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def note(self, source: str, reason: str) -> None:
        self.seen.append((source, reason))


@pytest.mark.parametrize(
    ("call", "refused", "seen"),
    [
        (GRANT, WRONG, [("203.0.113.7", "invalid_api_key")]),
        (GRANT, InvalidRequest(Refusal.MISSING_PARAMETER, "No."), []),
        (DeskCall("project.list", some_principal()), WRONG, []),
    ],
)
async def test_a_secret_that_is_not_right_is_told_with_its_address(
    call: DeskCall, refused: Exception, seen: list[tuple[str, str]]
) -> None:
    desk, noted = FakeDesk(), Noted()
    desk.refuse = refused
    signs = SignIns(desk, Denials(RecordingSignals(), ManualClock(), noted))
    with pytest.raises(type(refused)):
        await signs.call(call)
    assert noted.seen == seen


async def test_everything_else_passes() -> None:
    desk = FakeDesk()
    signs = SignIns(desk, Denials(RecordingSignals(), ManualClock()))
    assert await signs.call(GRANT) == desk.answer
    assert desk.calls == [GRANT]
