"""A client that asks without a pause, and keeps what it was told of each request."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

WORKERS = 4
_ASK_S = 30.0
_STREAMED = 3  # of every so many requests one is a stream


@dataclass(frozen=True, slots=True)
class Told:
    """What the client knows of one request.

    Attributes:
        id: the platform's; empty where no answer began.
        status: of the answer; 0 where none began.
        tokens: of the prompt and of the answer; None where the answer did not come whole.
    """

    id: str
    status: int
    tokens: tuple[int, int] | None


@dataclass
class Steady:
    """Attributes: `told` of every request that is over; `over` ends the asking."""

    client: httpx.AsyncClient
    model: str
    pause_s: float
    told: list[Told] = field(default_factory=list)
    over: bool = False
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def answered(self) -> dict[str, tuple[int, int]]:
        """The tokens of the whole answers, by request id."""
        return {one.id: one.tokens for one in self.told if one.tokens is not None}

    async def more_answers(self, count: int, within_s: float) -> None:
        """Wait until so many requests that begin from here on are answered."""
        wanted = len(self.answered) + WORKERS + count  # one of each worker is under way
        async with asyncio.timeout(within_s):
            while len(self.answered) < wanted:
                await asyncio.sleep(0.02)

    async def ask_for_ever(self) -> None:
        """One worker."""
        while not self.over:
            self.told.append(await self.ask(next(self.numbers)))
            await asyncio.sleep(self.pause_s)

    async def ask(self, number: int) -> Told:
        """A request whose tokens are its own: no two neighbours have the same counts."""
        words, length = 1 + number % 7, 1 + number % 11
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": " ".join(["word"] * words)}],
            "max_tokens": length,
        }
        if number % _STREAMED == 0:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        request_id, status = "", 0
        try:
            async with self.client.stream("POST", "/v1/chat/completions", json=body) as answer:
                request_id, status = answer.headers.get("x-request-id", ""), answer.status_code
                text = (await answer.aread()).decode()
        except httpx.HTTPError:
            return Told(request_id, status, None)
        tokens = _tokens(text) if status == 200 else None
        assert tokens is None or tokens[1] == length, (tokens, length)
        return Told(request_id, status, tokens)


@asynccontextmanager
async def steady(url: str, key: str, model: str, pause_s: float) -> AsyncIterator[Steady]:
    """Workers that ask until the block ends; what is under way then is waited for."""
    headers = {"authorization": f"Bearer {key}"}
    bounds = httpx.Limits(max_connections=WORKERS)
    async with httpx.AsyncClient(
        base_url=url, headers=headers, limits=bounds, timeout=_ASK_S
    ) as client:
        one = Steady(client, model, pause_s)
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(one.ask_for_ever())
            try:
                yield one
            finally:
                one.over = True


def _tokens(text: str) -> tuple[int, int] | None:
    """The tokens that an answer says, whole or as a stream; None where it broke off."""
    if not text.startswith("data: "):
        usage = json.loads(text)["usage"]
    else:
        events = [line.removeprefix("data: ") for line in text.splitlines() if line]
        if events[-1] != "[DONE]":
            return None
        usage = json.loads(events[-2])["usage"]
    return usage["prompt_tokens"], usage["completion_tokens"]
