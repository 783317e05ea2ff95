"""vLLM's own OpenAI serving objects, opened for one model. Imports vLLM.

`start_engine` blocks for seconds (it starts the engine's process) and is called in a thread; all else
belongs to the event loop.

Failure behavior: see `engine/vllm.py`; every error that leaves here is a `Refused`, except a
cancellation.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from argparse import Namespace
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, NoReturn

from pydantic import ValidationError
from starlette.datastructures import State
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.exceptions import VLLMClientError
from vllm.utils.argparse_utils import FlexibleArgumentParser

from helixflow.engine.metering import Meter
from helixflow.engine.vllm_client import MeteredLLM, Run, current_run
from helixflow.engine.vllm_errors import died, refusal_of, refusal_of_info
from helixflow.errors import InvalidRequest, ModelLoadError, Refusal
from helixflow.inference.request import EngineRequest, Operation

_SERVING_LOGGERS = (
    "vllm.entrypoints.openai.chat_completion.serving",
    "vllm.entrypoints.openai.completion.serving",
)
_ERROR_EVENT = 'data: {"error"'
_FINISH = re.compile(r'"finish_reason":\s?"(\w+)"')


class _Parser(FlexibleArgumentParser):  # type: ignore[misc]  # vLLM is not typed for us
    def error(self, message: str) -> NoReturn:
        raise ModelLoadError(f"vLLM refuses engine_args: {message}")


def start_engine(command_line: Sequence[str], merge_from: int) -> tuple[MeteredLLM, Namespace]:
    """Start the engine's process; blocks until it is loaded. Raises `ModelLoadError`."""
    args = make_arg_parser(_Parser(add_help=False)).parse_args(list(command_line))
    try:
        llm = MeteredLLM.from_engine_args(AsyncEngineArgs.from_cli_args(args))
    except ValidationError as error:
        raise ModelLoadError(f"vLLM refuses the model: {error.errors()[0]['msg']}") from error
    except Exception as error:
        raise ModelLoadError(f"vLLM did not start: {error}") from error
    llm.merge_from = merge_from
    for logger in _SERVING_LOGGERS:
        logging.getLogger(logger).addFilter(_not_a_clients_fault)
    return llm, args


class Serving:
    """vLLM's serving layer over one engine.

    Args:
        chat, completion: vLLM's `OpenAIServingChat` and `OpenAIServingCompletion`.
    """

    def __init__(self, llm: MeteredLLM, chat: Any, completion: Any) -> None:
        self.llm = llm
        self._chat = chat
        self._completion = completion

    @staticmethod
    async def over(llm: MeteredLLM, args: Namespace) -> Serving:
        """Open the serving layer. Raises `ModelLoadError`."""
        state = State()
        try:
            await init_app_state(llm, state, args, await llm.get_supported_tasks())
            return Serving(llm, state.openai_serving_chat, state.openai_serving_completion)
        except Exception as error:
            raise ModelLoadError(f"vLLM did not open its API: {error}") from error

    def check(self) -> None:
        """Raises `Unavailable` when the engine is dead."""
        if self.llm.errored:
            raise died()

    @staticmethod
    def run(meter: Meter) -> Run:
        """What one request's generations report to."""
        return Run(meter)

    async def abandon(self, run: Run) -> None:
        """End what a request still generates; nothing to do where it has finished."""
        if run.open:
            await self.llm.abandon(run)

    def load(self) -> tuple[int, int]:
        """Unfinished sequences, and the tokens that they hold."""
        return self.llm.sequences(), self.llm.tokens_held()

    async def close(self, timeout_s: float) -> None:
        """End the engine's process."""
        await self.llm.end(timeout_s)

    async def unary(self, request: EngineRequest, run: Run) -> bytes:
        """The whole JSON body."""
        answer = await self._ask(request, run)
        body = str(answer.model_dump_json())
        run.meter.finish_reason = _finish_in(body) or run.meter.finish_reason
        return body.encode()

    async def stream(self, request: EngineRequest, run: Run) -> AsyncGenerator[bytes, None]:
        """Finished SSE bytes. What follows the last token comes as one piece."""
        held: list[str] = []
        async with aclosing(await self._ask(request, run)) as events:
            async for event in events:
                if run.error is not None or event.startswith(_ERROR_EVENT):
                    self._fail(request, run, event)
                if run.finished:
                    held.append(event)
                else:
                    yield event.encode()
        ending = "".join(held)
        run.meter.finish_reason = _finish_in(ending) or run.meter.finish_reason
        yield ending.encode()

    async def _ask(self, request: EngineRequest, run: Run) -> Any:
        """What the serving layer answers: a response model, or a generator of events."""
        token = current_run.set(run)
        try:
            if request.operation is Operation.CHAT:
                chat = _ours(ChatCompletionRequest.model_validate_json(request.body), request)
                answer = await self._chat.create_chat_completion(chat, None)
            else:
                body = _ours(CompletionRequest.model_validate_json(request.body), request)
                answer = await self._completion.create_completion(body, None)
        except Exception as error:
            raise refusal_of(run.error or error, request.operation) from error
        finally:
            current_run.reset(token)
        if run.cancelled:
            raise asyncio.CancelledError
        if isinstance(answer, ErrorResponse):
            raise refusal_of_info(answer.error, request.operation)
        return answer

    def _fail(self, request: EngineRequest, run: Run, event: str) -> NoReturn:
        """An error in mid-stream: vLLM has written it as an event, here it is a refusal again."""
        if run.error is not None:
            raise refusal_of(run.error, request.operation) from run.error
        body = ErrorResponse.model_validate_json(event.removeprefix("data: "))
        raise refusal_of_info(body.error, request.operation)


def _not_a_clients_fault(record: logging.LogRecord) -> bool:
    """Whether to log: vLLM logs a trace for every bad request that it finds in a stream."""
    fault = record.exc_info[1] if record.exc_info else None
    return not isinstance(fault, VLLMClientError)


def _ours(body: Any, request: EngineRequest) -> Any:
    """Set what a client must not steer, whatever it sent."""
    if body.use_beam_search:
        raise InvalidRequest(
            Refusal.UNSUPPORTED_PARAMETER, "Beam search is not offered.", param="use_beam_search"
        )
    body.model = request.model
    body.stream = request.stream
    body.request_id = request.request_id
    body.priority = 0
    body.cache_salt = hashlib.sha256(request.tenant.encode()).hexdigest()
    body.kv_transfer_params = None
    body.ec_transfer_params = None
    body.vllm_xargs = None
    body.session_id = None
    body.stream_interval = None
    if not request.stream:
        body.stream_options = None
    return body


def _finish_in(text: str) -> str:
    """The first finish reason in a JSON text, or empty."""
    found = _FINISH.search(text)
    return found.group(1) if found else ""
