from __future__ import annotations

import pytest

from helixflow.errors import Refusal, Unavailable
from helixflow.gateway.published import OPERATIONS, Published
from helixflow.inference.desk import DeskAnswer, DeskCall
from helixflow.testing.clock import ManualClock
from helixflow.testing.desk import FakeDesk

AWAY = Unavailable(Refusal.AUTH_UNAVAILABLE, "Auth does not answer.", retry_after_s=1.0)
JWKS = DeskCall("jwks.read", None)


class Learned:
    """`Learner` whose revision the test says."""

    def __init__(self) -> None:
        self.revision = 1

    def learn_revision(self, revision: int) -> None:
        self.revision = revision


class Setting:
    """A copy of what `desk` publishes."""

    def __init__(self) -> None:
        self.desk, self.learned, self.clock = FakeDesk(), Learned(), ManualClock()
        self.published = Published(self.desk, self.learned, self.clock)

    def asked(self) -> int:
        """How often Auth was asked since the last time."""
        asked = len(self.desk.calls)
        self.desk.calls.clear()
        return asked


async def test_what_was_told_is_answered_without_asking() -> None:
    setting = Setting()
    await setting.published.poll()
    assert [call.operation for call in setting.desk.calls] == list(OPERATIONS)
    setting.asked()
    for _ in range(3):
        for operation in OPERATIONS:
            assert await setting.published.call(DeskCall(operation, None)) == DeskAnswer(b"{}")
        await setting.published.poll()
    assert setting.asked() == 0


async def test_a_newer_revision_and_the_clock_bring_what_is_newer() -> None:
    setting = Setting()
    await setting.published.poll()
    setting.desk.answer = DeskAnswer(b'{"keys": []}')
    assert (await setting.published.call(JWKS)).body == b"{}"
    setting.learned.learn_revision(2)
    await setting.published.poll()
    assert (await setting.published.call(JWKS)).body == b'{"keys": []}'
    setting.asked()
    setting.clock.advance(59)
    await setting.published.poll()
    assert setting.asked() == 0
    setting.clock.advance(2)
    await setting.published.poll()
    assert setting.asked() == len(OPERATIONS)


async def test_while_auth_is_away_the_copy_stands_and_is_asked_for_again() -> None:
    setting = Setting()
    setting.desk.refuse = AWAY
    with pytest.raises(Unavailable):
        await setting.published.poll()
    with pytest.raises(Unavailable):
        await setting.published.call(JWKS)
    setting.desk.refuse = None
    assert (await setting.published.call(JWKS)).body == b"{}"
    await setting.published.poll()
    setting.desk.refuse = AWAY
    setting.learned.learn_revision(2)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await setting.published.poll()
        assert (await setting.published.call(JWKS)).body == b"{}"
    setting.desk.refuse = None
    setting.asked()
    await setting.published.poll()
    assert setting.asked() == len(OPERATIONS)


async def test_everything_else_goes_to_auth() -> None:
    setting = Setting()
    await setting.published.poll()
    setting.asked()
    await setting.published.call(DeskCall("project.list", None))
    assert setting.asked() == 1
