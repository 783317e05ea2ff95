from __future__ import annotations

from typing import Any

import pytest

from helixflow.gateway.http.meter import SocketMeter
from helixflow.gateway.http.note import note_of
from helixflow.gateway.http.shield import Shield
from helixflow.signals import Metric
from helixflow.testing.clock import ManualClock
from helixflow.testing.http import HttpAnswer, ask
from helixflow.testing.signals import RecordingSignals

ROUTE = "/v1/things/{thing}"


class Socket:
    """A shield whose meter reports, over an app that takes two seconds for its answer."""

    def __init__(self, *, answers: bool = True) -> None:
        self.signals = RecordingSignals()
        self.clock = ManualClock()
        self.meter = SocketMeter(self.clock)
        self.meter.report_to(self.signals)
        self.answers = answers
        self.ongoing = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        note_of(scope).route = ROUTE
        self.ongoing = self.signals.gauges[Metric.ONGOING_REQUESTS, ()]
        self.clock.advance(2.0)
        if not self.answers:
            raise ZeroDivisionError
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def ask(self, path: str = "/v1/things/7", body: bytes = b"") -> HttpAnswer:
        headers = [(b"content-length", str(len(body)).encode())]
        shield = Shield(self, 10, meter=self.meter)
        return await ask(shield, "POST", path, headers=headers, pieces=(body,))

    def counted(self) -> list[dict[str, str]]:
        return self.signals.labels(Metric.HTTP_REQUESTS)


async def test_a_request_is_counted_under_its_routes_template_and_timed_to_its_end() -> None:
    socket = Socket()
    await socket.ask()
    assert socket.counted() == [{"route": ROUTE, "status": "201"}]
    assert socket.signals.observed == [
        (Metric.HTTP_REQUEST_SECONDS, pytest.approx(2.0), (("route", ROUTE),))
    ]


async def test_those_that_are_being_answered_are_known() -> None:
    socket = Socket()
    await socket.ask()
    assert socket.ongoing == 1
    assert socket.signals.gauges[Metric.ONGOING_REQUESTS, ()] == 0


async def test_what_the_shield_refuses_is_counted_too() -> None:
    socket = Socket()
    await socket.ask(body=b"x" * 11)
    assert socket.counted() == [{"route": "none", "status": "413"}]


async def test_a_request_without_an_answer_is_over_all_the_same() -> None:
    socket = Socket(answers=False)
    with pytest.raises(ZeroDivisionError):
        await socket.ask()
    assert socket.counted() == [{"route": ROUTE, "status": "none"}]
    assert socket.signals.gauges[Metric.ONGOING_REQUESTS, ()] == 0


async def test_serves_own_health_pages_are_not_counted() -> None:
    socket = Socket()
    await socket.ask("/-/healthz")
    assert socket.counted() == []


async def test_before_anybody_listens_nothing_is_kept() -> None:
    socket = Socket()
    silent = SocketMeter(socket.clock)
    silent.close(silent.open(), "", 200)
    assert socket.counted() == []
