"""vLLM's errors and answers that a healthy engine does not show. Imports vLLM, starts no engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from helixflow.engine.metering import Meter
from helixflow.errors import (
    InvalidRequest,
    ModelLoadError,
    NotFound,
    Overloaded,
    Refusal,
    Refused,
    TooLarge,
)
from helixflow.inference.request import Operation
from helixflow.testing.engine import engine_request

pytestmark = [
    pytest.mark.engine,
    # vLLM imports torch, which uses its own deprecated names.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

ERROR_EVENT = (
    'data: {"error": {"message": "Bad parser.", "type": "x", "param": null, "code": 400}}\n\n'
)
REQUEST = engine_request({"messages": [{"role": "user", "content": "Hello"}]}, stream=True)


@pytest.fixture(scope="module")
def vllm() -> ModuleType:
    """The module under test, imported as an engine's process imports it."""
    import importlib

    from helixflow.engine.budget import Budget
    from helixflow.engine.vllm_args import apply_environment, engine_environment

    apply_environment(engine_environment(Budget("cpu", "CPU", 1, 2, 1, 0, 1, 1, 1, 1)))
    return importlib.import_module("helixflow.engine.vllm_serving")


def info(vllm: ModuleType, code: int, message: str = "No.", param: str | None = None) -> Any:
    body = {"error": {"message": message, "type": "x", "param": param, "code": code}}
    return vllm.ErrorResponse.model_validate(body).error


@pytest.mark.parametrize(
    ("code", "message", "kind", "reason"),
    [
        (400, "No.", InvalidRequest, Refusal.INVALID_VALUE),
        (400, "Maximum context length is 5.", TooLarge, Refusal.CONTEXT_LENGTH_EXCEEDED),
        (404, "No.", NotFound, Refusal.RESOURCE_NOT_FOUND),
        (500, "No.", Refused, Refusal.INTERNAL_ERROR),
        (503, "No.", Overloaded, Refusal.OVERLOADED),
    ],
)
def test_an_error_body_becomes_the_refusal_of_its_code(
    vllm: ModuleType, code: int, message: str, kind: type[Refused], reason: Refusal
) -> None:
    refused = vllm.refusal_of_info(info(vllm, code, message), Operation.COMPLETION)
    assert (type(refused), refused.reason) == (kind, reason)


def test_what_went_wrong_inside_is_not_told(vllm: ModuleType) -> None:
    for error in (RuntimeError("secret"), KeyboardInterrupt("secret")):
        refused = vllm.refusal_of(error, Operation.CHAT)
        assert refused.reason is Refusal.INTERNAL_ERROR
        assert "secret" not in refused.message


def test_a_refusal_stays_what_it_is(vllm: ModuleType) -> None:
    refused = InvalidRequest(Refusal.INVALID_VALUE, "No.")
    assert vllm.refusal_of(refused, Operation.CHAT) is refused


class Answers:
    """A serving object of vLLM that gives one answer."""

    def __init__(self, answer: object) -> None:
        self._answer = answer

    async def create_chat_completion(self, _body: object, _raw: object) -> object:
        return self._answer


async def told(*events: str) -> AsyncIterator[str]:
    for event in events:
        yield event


def serving(vllm: ModuleType, answer: object) -> Any:
    return vllm.Serving(SimpleNamespace(), Answers(answer), None)


async def test_an_error_event_ends_a_stream_as_a_refusal(vllm: ModuleType) -> None:
    layer = serving(vllm, told("data: {}\n\n", ERROR_EVENT, "data: [DONE]\n\n"))
    pieces = layer.stream(REQUEST, layer.run(Meter()))
    assert await anext(pieces) == b"data: {}\n\n"
    with pytest.raises(InvalidRequest, match=r"Bad parser\."):
        await anext(pieces)


async def test_an_error_body_is_a_refusal(vllm: ModuleType) -> None:
    layer = serving(vllm, vllm.ErrorResponse(error=info(vllm, 404)))
    with pytest.raises(NotFound):
        await layer.unary(REQUEST, layer.run(Meter()))


async def test_a_model_that_cannot_be_served_fails_to_load(vllm: ModuleType) -> None:
    async def tasks() -> tuple[str, ...]:
        raise RuntimeError("no tasks")

    with pytest.raises(ModelLoadError, match="did not open its API: no tasks"):
        await vllm.Serving.over(SimpleNamespace(get_supported_tasks=tasks), SimpleNamespace())


@pytest.mark.parametrize(
    ("interval", "sent", "tokens", "now"),
    [(1, 0, 3, (3, 5)), (3, 2, 4, (4, 2)), (3, 5, 1, (1, 5)), (3, 2, 1, (2, 2))],
)
def test_a_running_sequence_changes_pace_without_losing_a_token(
    vllm: ModuleType, interval: int, sent: int, tokens: int, now: tuple[int, int]
) -> None:
    """Of five tokens that are written, `sent` are sent: kept by vLLM above one token a chunk."""
    from helixflow.engine.vllm_client import repace

    written = SimpleNamespace(num_output_tokens=lambda: 5)
    state = SimpleNamespace(stream_interval=interval, sent_tokens_offset=sent, detokenizer=written)
    repace(state, tokens)
    assert (state.stream_interval, state.sent_tokens_offset) == now
