"""Whether an answer is right. Nothing is counted that was not checked."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from benchmarks.load.http1 import Response
from benchmarks.load.plan import Expected


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    completion_tokens: int
    prompt_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Whole(Struct):
    usage: _Usage | None
    choices: list[msgspec.Raw]


_decode = msgspec.json.Decoder(_Whole).decode


class _Answer:
    """What both kinds share.

    Attributes:
        prompt_tokens: of a right answer, as the system counts them; `cached_tokens` of them were
            not computed again.
    """

    __slots__ = ("_expected", "cached_tokens", "prompt_tokens")

    def __init__(self, expected: Expected) -> None:
        self._expected = expected
        self.prompt_tokens = 0
        self.cached_tokens = 0

    def is_refusal(self, response: Response) -> bool:
        """Whether this is a refusal that the plan expects: it says when to come back."""
        refused = response.status in (429, 503) and response.retry_after
        return self._expected.refusals and refused

    def _judge(self, raw: bytes, choices_min: int) -> tuple[int, str]:
        try:
            answer = _decode(raw)
        except (msgspec.ValidationError, msgspec.DecodeError):
            return 0, "bad_body"
        usage = answer.usage
        if usage is None or len(answer.choices) < choices_min:
            return 0, "bad_body"
        made = usage.completion_tokens
        if made != self._expected.tokens:
            return made, "wrong_tokens"
        self.prompt_tokens = usage.prompt_tokens
        if usage.prompt_tokens_details is not None:
            self.cached_tokens = usage.prompt_tokens_details.cached_tokens or 0
        return made, ""


class PlainAnswer(_Answer):
    """A body that is not streamed: kept until it is whole."""

    __slots__ = ("_pieces",)

    def __init__(self, expected: Expected) -> None:
        super().__init__(expected)
        self._pieces: list[bytes] = []

    def feed(self, piece: bytes, now: float) -> None:
        """Take a part of the body."""
        self._pieces.append(piece)

    def verdict(self, status: int) -> tuple[int, str]:
        """`(tokens, error)` of the whole answer; a right one has the error `""`."""
        if status != self._expected.status:
            return 0, f"status_{status}"
        if status != 200:
            return 0, ""
        return self._judge(b"".join(self._pieces), choices_min=1)


class StreamAnswer(_Answer):
    """A stream of server-sent events, with the times of what it delivered.

    Attributes:
        first_at, last_at: when the first and the last delivery with text came; 0 is never.
        deliveries: how many deliveries had text. Several tokens may come in one.
        gaps_s: times between deliveries, seconds.
    """

    __slots__ = (
        "_done", "_failed", "_pending", "_usage",
        "deliveries", "first_at", "gaps_s", "last_at",
    )  # fmt: skip

    def __init__(self, expected: Expected) -> None:
        super().__init__(expected)
        self._pending = b""
        self._usage = b""
        self._done = False
        self._failed = False
        self.first_at = self.last_at = 0.0
        self.deliveries = 0
        self.gaps_s: list[float] = []

    def feed(self, piece: bytes, now: float) -> None:
        """Take a part of the body, received at `now`, however it was cut."""
        *events, self._pending = (self._pending + piece).split(b"\n\n")
        texts = False
        for event in events:
            if b'"content":"' in event and b'"content":""' not in event:
                texts = True
            elif event == b"data: [DONE]":
                self._done = True
            elif event.startswith(b'data: {"error"'):
                self._failed = True
            if b'"usage":{' in event:
                self._usage = event
        if not texts:
            return
        if self.deliveries:
            self.gaps_s.append(now - self.last_at)
        else:
            self.first_at = now
        self.deliveries += 1
        self.last_at = now

    def verdict(self, status: int) -> tuple[int, str]:
        """`(tokens, error)` of the whole answer; a right one has the error `""`."""
        if status != self._expected.status:
            return 0, f"status_{status}"
        if status != 200:
            return 0, ""
        if self._failed:
            return 0, "error_event"
        if not self._done:
            return 0, "no_done"
        if not self.deliveries:
            return 0, "no_text"
        return self._judge(self._usage.removeprefix(b"data: "), choices_min=0)
