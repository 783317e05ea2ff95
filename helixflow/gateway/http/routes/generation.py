"""The hot routes, as OpenAPI describes them. `gateway/http/generation.py` answers them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from helixflow.api.chat import ChatCompletion, ChatCompletionRequest
from helixflow.api.completion import Completion, CompletionRequest
from helixflow.errors import Refusal
from helixflow.gateway.http.openapi import ANSWER_HEADERS, refusals, schema_of
from helixflow.gateway.http.ports import Service

_ELSEWHERE = frozenset(
    {
        Refusal.CONFLICT, Refusal.METHOD_NOT_ALLOWED, Refusal.PRECONDITION_FAILED,
        Refusal.RESOURCE_NOT_FOUND, Refusal.ROUTE_NOT_FOUND, Refusal.SLOW_READER,
    }
)  # fmt: skip
_REFUSALS = refusals(*(reason for reason in Refusal if reason not in _ELSEWHERE))


def router(_: Service) -> APIRouter:
    """`POST /v1/chat/completions` and `POST /v1/completions`."""
    routes = APIRouter(tags=["generation"])

    @routes.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses={200: _answer("ChatCompletionChunk"), **_REFUSALS},
    )
    async def create_chat_completion(body: ChatCompletionRequest) -> None:
        """Continue a conversation. With `stream`, the answer is a stream of server-sent events:
        each holds a `ChatCompletionChunk`, the last one `[DONE]`; a stream that breaks off ends
        with an event that holds an `error`."""
        raise NotImplementedError

    @routes.post(
        "/v1/completions",
        response_model=Completion,
        responses={200: _answer("CompletionChunk"), **_REFUSALS},
    )
    async def create_completion(body: CompletionRequest) -> None:
        """Continue a text. With `stream`, the answer is a stream of server-sent events: each holds
        a `CompletionChunk`, the last one `[DONE]`."""
        raise NotImplementedError

    return routes


def _answer(chunk: str) -> dict[str, Any]:
    return {
        "description": "The answer, whole or as a stream.",
        "headers": ANSWER_HEADERS,
        "content": {
            "text/event-stream": {
                "schema": schema_of(chunk),
                "example": 'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\n'
                "data: [DONE]\n\n",
            }
        },
    }
