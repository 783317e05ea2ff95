"""RateLimiter as an Ingress sees it, without Ray: the real shell, a handle in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import RayActorError

from deployments.limit_calls import RayLender
from deployments.rate_limiter import RateLimiter
from helixflow.ids import OrganizationId
from helixflow.limits.ports import Ask, CounterId, End, LimitStoreAway
from helixflow.settings import Settings
from helixflow.testing.handle import FakeHandle

COUNTER = CounterId(OrganizationId("org_1"), "requests_per_hour", "organization")


class Unattended(RateLimiter):
    """Nobody awaits what Python's garbage collection calls."""

    def __del__(self) -> None:  # type: ignore[override]
        pass


async def started(home: Path) -> RateLimiter:
    settings = Settings.of({"home": str(home)})
    tree: dict[str, Any] = settings.model_dump(mode="json", exclude={"models"})
    limiter = Unattended.__new__(Unattended)
    await limiter.__init__(FakeHandle(object()), tree)  # type: ignore[misc]
    return limiter


async def stop(limiter: RateLimiter) -> None:
    await RateLimiter.__del__(limiter)


def ask(lease: int, need: int, *ends: End) -> Ask:
    return Ask(COUNTER, 10, lease, need, need, 5.0, ends)


async def test_leases_come_over_the_wire_and_never_beyond_the_limit(tmp_path: Path) -> None:
    limiter = await started(tmp_path)
    lender = RayLender(FakeHandle(limiter), 5.0)
    ((first,),) = (await lender.exchange("one", 1, 0, [[ask(1, 8)]])).grants
    ((second,),) = (await lender.exchange("two", 1, 0, [[ask(1, 8)]])).grants
    assert (first.amount, second.amount) == (8, 0)
    assert second.retry_after_s > 0
    await limiter.check_health()
    await stop(limiter)


async def test_what_was_granted_is_known_after_a_restart(tmp_path: Path) -> None:
    limiter = await started(tmp_path)
    await RayLender(FakeHandle(limiter), 5.0).exchange("one", 1, 0, [[ask(1, 8)]])
    await stop(limiter)
    limiter = await started(tmp_path)
    lender = RayLender(FakeHandle(limiter), 5.0)
    ((other,),) = (await lender.exchange("two", 1, 0, [[ask(1, 8)]])).grants
    assert other.amount == 0
    await stop(limiter)


async def test_a_limiter_that_is_lost_is_a_store_that_is_away(tmp_path: Path) -> None:
    handle = FakeHandle(object())
    handle.lost.append(RayActorError())
    with pytest.raises(LimitStoreAway):
        await RayLender(handle, 5.0).exchange("one", 1, 0, [])


async def test_a_journal_that_cannot_be_written_is_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "limits").write_text("in the way")
    limiter = await started(tmp_path)
    with pytest.raises(LimitStoreAway):
        await RayLender(FakeHandle(limiter), 5.0).exchange("one", 1, 0, [[ask(1, 1)]])
    await stop(limiter)
