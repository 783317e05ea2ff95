from __future__ import annotations

from helixflow.gateway.body import parse
from helixflow.inference.usage import Usage
from helixflow.limits.ports import Limiter, Unlimited
from helixflow.testing.gateway import some_call, some_spec
from helixflow.testing.identity import some_principal


async def test_without_limits_everything_is_admitted_and_nothing_is_told() -> None:
    limiter: Limiter = Unlimited()
    call = some_call()
    body = parse(call.operation, call.body)
    reservation = await limiter.reserve(call.request_id, some_principal(), some_spec(), body)
    assert reservation.headers == ()
    reservation.settle(Usage(1, 2))
    reservation.settle(None)
    assert limiter.headers(some_principal(), "m") == ()
    assert await limiter.view(some_principal(), ["m"]) == []
