"""More than a replica can hold is refused by its own queue, at once, and in order."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from .conftest import Wire

pytestmark = pytest.mark.stack

# stack.yaml: eight sequences at once, four places in the queue, of which one tenant fills three.
ADMITTED = 8 + 3
ASKED = 150
BODY = {
    "model": "echo-slow",
    "messages": [{"role": "user", "content": "Tick."}],
    "max_tokens": 250,  # five seconds
}


async def test_a_flood_is_refused_at_once_and_who_was_admitted_is_answered(wire: Wire) -> None:
    begun = time.monotonic()

    async def one() -> tuple[int, dict[str, str], Any, float]:
        status, headers, body = await wire.post("/v1/chat/completions", json.dumps(BODY).encode())
        return status, headers, body, time.monotonic() - begun

    answers = await asyncio.gather(*(one() for _ in range(ASKED)))
    refused = [answer for answer in answers if answer[0] != 200]
    answered = [answer for answer in answers if answer[0] == 200]
    assert (len(answered), len(refused)) == (ADMITTED, ASKED - ADMITTED)
    for status, headers, body, _ in refused:
        assert (status, body["error"]["code"]) == (429, "queue_full")
        assert 1 <= int(headers["retry-after"]) <= 60
    # No refusal waited for anybody's end: none was held in a queue that nobody sees.
    assert max(answer[3] for answer in refused) < min(answer[3] for answer in answered)
