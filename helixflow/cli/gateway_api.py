"""The platform's own HTTP interface, as the command line uses it.

Failure behavior: `Unreachable` while nothing listens; any refusal becomes `CommandFailed` with the
message that the platform gave.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from helixflow.api.sse import Decoder
from helixflow.cli.failure import CommandFailed
from helixflow.cli.http import Answer, Client, Unreachable, chunks, require_ok

_DONE = b"[DONE]"


@dataclass(frozen=True, slots=True)
class ModelReadiness:
    """A model as `/readyz` tells of it; `progress` is 0 to 1."""

    name: str
    state: str
    detail: str = ""
    progress: float = 0.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `/readyz` says.

    Attributes:
        ready: whether everything that was asked for can answer.
        waiting: what is not ready, in words.
        models: the state of each model.
    """

    ready: bool
    waiting: tuple[str, ...] = ()
    models: tuple[ModelReadiness, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether every model is up, or has failed for good."""
        return bool(self.models) and all(m.state in ("ready", "failed") for m in self.models)


@dataclass(slots=True)
class Measured:
    """How fast an answer came.

    Attributes:
        first_token_s: seconds from sending the request to the first text; None before it.
        seconds: seconds from sending to the end.
        tokens: how many tokens the platform counted; 0 where it did not say.
        prompt_tokens: how many the question had.
    """

    first_token_s: float | None = None
    seconds: float = 0.0
    tokens: int = 0
    prompt_tokens: int = 0

    @property
    def tokens_per_s(self) -> float:
        """The pace after the first token; the average where there was only one."""
        generating = self.seconds - (self.first_token_s or 0.0)
        if self.tokens > 1 and generating > 0:
            return (self.tokens - 1) / generating
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass(slots=True)
class ChatStream:
    """The text of a streamed answer, piece by piece; afterwards `measured` is complete."""

    pieces: Iterator[str]
    measured: Measured = field(default_factory=Measured)

    def __iter__(self) -> Iterator[str]:
        return self.pieces


class GatewayApi:
    """The platform at a base URL (without `/v1`)."""

    def __init__(
        self,
        base_url: str,
        key: str = "",
        timeout_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = Client(base_url, key, timeout_s)
        self._monotonic = monotonic

    def readiness(self) -> Readiness | None:
        """What is ready and what is not; None while no part of the platform answers."""
        try:
            answer = self._client.request("GET", "/readyz", timeout_s=3.0)
        except Unreachable:
            return None
        body = answer.json()
        # HAProxy answers 503 by itself while no Ingress replica runs.
        if not isinstance(body, dict) or "models" not in body:
            return None
        models = tuple(_model(raw) for raw in body["models"])
        waiting = tuple(str(part) for part in body.get("waiting") or ())
        return Readiness(answer.status == 200, waiting, models)

    def accepts_key(self) -> bool:
        """Whether our key is valid here."""
        try:
            return self._client.request("GET", "/v1/models").status == 200
        except Unreachable:
            return False

    def models(self) -> list[dict[str, Any]]:
        """The models that the key may see, as `/v1/models` lists them."""
        answer = self._client.request("GET", "/v1/models")
        require_ok(answer)
        listed: list[dict[str, Any]] = answer.json()["data"]
        return listed

    def limits(self) -> dict[str, Any]:
        """The key's own limits and what is left of them."""
        answer = self._client.request("GET", "/v1/limits")
        require_ok(answer)
        listed: dict[str, Any] = answer.json()
        return listed

    def chat(
        self,
        model: str,
        messages: list[dict[str, str]],
        *,
        tokens_max: int | None,
        timeout_s: float,
        temperature: float | None = None,
    ) -> ChatStream:
        """Ask, and get the answer as it is generated."""
        body: dict[str, Any] = {
            "model": model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if tokens_max is not None:
            body["max_tokens"] = tokens_max
        if temperature is not None:
            body["temperature"] = temperature
        measured = Measured()
        return ChatStream(self._pieces(body, measured, timeout_s), measured)

    def _pieces(self, body: object, measured: Measured, timeout_s: float) -> Iterator[str]:
        began = self._monotonic()
        with self._client.open("POST", "/v1/chat/completions", body, timeout_s) as response:
            if response.status != 200:
                require_ok(Answer(response.status, response.read()))
            decoder, whole = Decoder(), False
            for received in chunks(response):
                for data in decoder.feed(received):
                    whole = data == _DONE
                    measured.seconds = self._monotonic() - began
                    text = "" if whole else _text(data, measured)
                    if text and measured.first_token_s is None:
                        measured.first_token_s = measured.seconds
                    if text:
                        yield text
            measured.seconds = self._monotonic() - began
            if not whole:
                raise CommandFailed("the answer broke off before its end")


def _text(data: bytes, measured: Measured) -> str:
    event = json.loads(data)
    if "error" in event:
        raise CommandFailed(f"the answer broke off: {event['error'].get('message', event)}")
    if usage := event.get("usage"):
        measured.tokens = int(usage.get("completion_tokens") or 0)
        measured.prompt_tokens = int(usage.get("prompt_tokens") or 0)
    choices = event.get("choices") or [{}]
    return str((choices[0].get("delta") or {}).get("content") or "")


def _model(raw: dict[str, Any]) -> ModelReadiness:
    return ModelReadiness(
        str(raw.get("id", "")),
        str(raw.get("state", "")),
        str(raw.get("detail") or ""),
        float(raw.get("progress") or 0.0),
    )
