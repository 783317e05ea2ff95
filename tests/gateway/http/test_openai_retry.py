"""OpenAI's own client meets a limit: the real face, pipeline and ledger, over a real socket."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import openai
import pytest

from helixflow.clock import SystemClock
from helixflow.gateway.http.app import build_face
from helixflow.gateway.http.shield import Shield
from helixflow.gateway.pipeline import Pipeline
from helixflow.inference.quota import LimitName, Quota, Scope
from helixflow.limits.ledger import Ledger
from helixflow.limits.memory import MemoryLimitStore
from helixflow.settings import GatewaySettings, HttpSettings, LimitsSettings
from helixflow.signals import NullSignals
from helixflow.testing.desk import FakeDesk
from helixflow.testing.gateway import KEY, last_frame
from helixflow.testing.http import serving
from helixflow.testing.stage import Stage

ASK: dict[str, Any] = {"model": "echo-1", "messages": [{"role": "user", "content": "hi"}]}
WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"echo-1","choices":[{"index":'
    b'0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
)
SOON_S = 0.2
IDLE_BEATS = 5
"""Heartbeats after which a lease near its limit is back, if nothing uses it."""


class Ahead(SystemClock):
    """The machine's clock, and some time more."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class House:
    """A platform with a limit of one request a minute for each project."""

    def __init__(self) -> None:
        self.clock = Ahead()
        settings = LimitsSettings()
        store = MemoryLimitStore(self.clock, settings)
        self.ledger = Ledger(store, "h1", settings, self.clock, NullSignals())
        stage = Stage(
            lambda **parts: Pipeline(**{**parts, "limiter": self.ledger}),
            scripts=[[last_frame(WHOLE)]] * 8,
        )
        quota = Quota(LimitName.REQUESTS_PER_MINUTE, (Scope.PROJECT,), 1)
        self.principal = replace(stage.principal, quotas=(quota,))
        stage.authenticator.known[KEY] = self.principal
        face = build_face(
            stage.pipeline, HttpSettings(), GatewaySettings(), self.clock, FakeDesk(), FakeDesk()
        )
        self.retries: list[str] = []
        self._face: Any = Shield(face, 4096)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The face; notes what the client says about its tries."""
        self.retries += [
            value.decode() for name, value in scope["headers"] if name == b"x-stainless-retry-count"
        ]
        await self._face(scope, receive, send)

    async def use_up_until_soon(self) -> None:
        """Let time pass until what was used is back in `SOON_S`."""
        for _ in range(IDLE_BEATS):
            self.clock.ahead_s += 1.0
            self.ledger.beat()
            (view,) = await self.ledger.view(self.principal)
        assert view.reset_s is not None
        self.clock.ahead_s += view.reset_s - SOON_S


def client(port: int, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", **options)


async def test_the_clients_own_retry_waits_as_it_is_told_and_succeeds() -> None:
    house = House()
    async with serving(house) as port, client(port) as asking:
        first = await asking.chat.completions.with_raw_response.create(**ASK)
        assert first.headers["x-ratelimit-remaining-requests"] == "0"
        await house.use_up_until_soon()
        begun = house.clock.monotonic()
        second = await asking.chat.completions.create(**ASK)
        assert second.choices[0].message.content == "hi"
        assert house.clock.monotonic() - begun >= SOON_S / 2
    assert house.retries == ["0", "0", "1"]


async def test_a_client_that_does_not_retry_is_told_all_of_it() -> None:
    house = House()
    async with serving(house) as port, client(port, max_retries=0) as asking:
        await asking.chat.completions.create(**ASK)
        await house.use_up_until_soon()
        with pytest.raises(openai.RateLimitError) as caught:
            await asking.chat.completions.create(**ASK)
    headers = caught.value.response.headers
    assert 0 < float(headers["retry-after-ms"]) <= 1_000 * SOON_S
    assert headers["retry-after"] == "1"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    told = caught.value.response.json()["error"]["limit"]
    assert (told["name"], told["limit"], told["current"]) == ("requests_per_minute", 1.0, 1.0)
