from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest

from benchmarks.load.loops import loop_for
from benchmarks.load.outcome import Outcome
from benchmarks.load.plan import Closed, Expected, Open, Pace, Plan, Target
from benchmarks.systems.ready_answers import stream_events, whole
from benchmarks.systems.trivial import Answerer

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n"


def plain_answer(head: bytes = b"", tokens: int = 16) -> bytes:
    body = whole(tokens)
    return _HEAD % (len(body), head) + body


def answerer(plain: bytes = b"", tokens: int = 16) -> Answerer:
    chunks = [b"%x\r\n%b\r\n" % (len(event), event) for event in stream_events(tokens)]
    return Answerer(plain or plain_answer(), chunks)


@asynccontextmanager
async def serving(make: Callable[[], asyncio.Protocol]) -> AsyncIterator[int]:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def drive(port: int, pace: Pace, *, tokens: int = 16, streamed: bool = False) -> Outcome:
    body = '{"stream":true}' if streamed else "{}"
    target = Target("127.0.0.1", port, "/")
    plan = Plan(target, [body], Expected(tokens, streamed=streamed), pace, timeout_s=0.5)
    loop = loop_for(plan)
    await loop.open()
    return await loop.run(time.monotonic())


async def test_a_closed_loop_sends_as_many_requests_as_asked() -> None:
    async with serving(answerer) as port:
        outcome = await drive(port, Closed(3, requests_each=4))
    assert (outcome.answered, outcome.failed, outcome.tokens) == (12, 0, 12 * 16)
    assert len(outcome.done_s) == 12
    assert min(outcome.latency_ms) > 0


async def test_a_closed_loop_ends_with_its_duration() -> None:
    async with serving(answerer) as port:
        outcome = await drive(port, Closed(2, duration_s=0.02))
    assert outcome.answered > 0
    assert outcome.failed == 0


async def test_streams_have_first_tokens_and_gaps() -> None:
    async with serving(answerer) as port:
        outcome = await drive(port, Closed(2, requests_each=2), streamed=True)
    assert (outcome.answered, outcome.failed) == (4, 0)
    assert len(outcome.first_ms) == len(outcome.between_ms) == 4
    assert 4 <= outcome.deliveries <= 4 * 16


async def test_an_open_loop_sends_what_is_due() -> None:
    async with serving(answerer) as port:
        outcome = await drive(port, Open(400.0, 0.05, connections_max=4))
    assert outcome.answered > 0
    assert outcome.failed == 0


async def test_with_too_few_connections_the_wait_counts_as_latency() -> None:
    async with serving(partial(Slow, 0.01)) as port:
        outcome = await drive(port, Open(500.0, 0.02, connections_max=1, burst=5))
    assert outcome.failed == 0
    assert max(outcome.latency_ms) > 40


async def test_wrong_answers_are_counted_and_nowhere_else() -> None:
    async with serving(answerer) as port:
        outcome = await drive(port, Closed(1, requests_each=2), tokens=17)
    assert outcome.errors == {"wrong_tokens": 2}
    assert (outcome.answered, outcome.tokens) == (0, 0)


@pytest.mark.parametrize(
    ("when", "refused", "errors"),
    [(b"retry-after: 1\r\n", 2, {}), (b"", 0, {"status_429": 2})],
)
async def test_a_refusal_that_says_when_to_come_back_is_right_where_it_is_expected(
    when: bytes, refused: int, errors: dict[str, int]
) -> None:
    said = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n" + when + b"\r\n{}"
    async with serving(partial(answerer, said)) as port:
        target = Target("127.0.0.1", port, "/")
        pace = Closed(1, requests_each=2)
        loop = loop_for(Plan(target, ["{}"], Expected(16, refusals=True), pace, timeout_s=0.5))
        await loop.open()
        outcome = await loop.run(time.monotonic())
    assert (len(outcome.refused_ms), outcome.answered) == (refused, 0)
    assert outcome.errors == errors


async def test_a_server_that_closes_after_each_answer_loses_no_request() -> None:
    async with serving(partial(answerer, plain_answer(b"connection: close\r\n"))) as port:
        outcome = await drive(port, Closed(2, requests_each=2))
    assert (outcome.answered, outcome.failed) == (4, 0)
    assert outcome.reconnects >= 2


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"])
async def test_a_cut_answer_is_an_error(said: bytes) -> None:
    async with serving(partial(Cutter, said)) as port:
        outcome = await drive(port, Closed(1, requests_each=2))
    assert outcome.errors == {"connection_lost": 2}


class Slow(asyncio.Protocol):
    """Answers after a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        answer = plain_answer()
        asyncio.get_running_loop().call_later(self._seconds, self._transport.write, answer)


class Cutter(Slow):
    """Says something, and closes."""

    def __init__(self, said: bytes) -> None:
        super().__init__(0.0)
        self._said = said

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(self._said)
        self._transport.close()


async def test_prompts_and_what_a_cache_knew_of_them_are_counted() -> None:
    body = whole(16).replace(
        b'"total_tokens"', b'"prompt_tokens_details":{"cached_tokens":9},"total_tokens"'
    )
    async with serving(partial(answerer, _HEAD % (len(body), b"") + body)) as port:
        outcome = await drive(port, Closed(1, requests_each=3))
    assert outcome.failed == 0
    assert outcome.cached_tokens == 27
    assert outcome.prompt_tokens == 3 * 13
