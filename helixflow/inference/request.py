"""What is asked: from the bytes that a client sent to what an engine is given."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from helixflow.ids import RequestId
from helixflow.inference.deadline import Deadline
from helixflow.inference.quota import ServiceClass
from helixflow.inference.trace import TraceContext


class Operation(StrEnum):
    """What kind of generation is asked for."""

    CHAT = "chat.completions"
    COMPLETION = "completions"


CallWire: TypeAlias = (
    tuple[int, str, bytes, str | None, float | None]
    | tuple[int, str, bytes, str | None, float | None, str, str]
)
"""`(version, operation, JSON body, credential, timeout_s, traceparent, tracestate)`: a call through
a Python handle; a timeout of None is the platform's own deadline. The last two came with version
2."""

CALL_VERSION = 2


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a face (HTTP, handle) hands it to the pipeline.

    Attributes:
        operation: which API it came in by.
        body: the JSON body as it came, at most the configured size.
        credential: the bearer credential, or None where there was none.
        request_id: ours.
        deadline: when the whole request must be over.
        source: the client's address as far as the face can vouch for it.
        client_request_id: what the client called it; a note, never an identity.
        trace: the place in a trace that the client sent with it.
        door: the face that it came in by: `http` or `handle`.
    """

    operation: Operation
    body: bytes
    credential: str | None
    request_id: RequestId
    deadline: Deadline
    source: str = ""
    client_request_id: str = ""
    trace: TraceContext | None = None
    door: str = "http"


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """What the pipeline reads from a body; all else passes through to the engine as bytes.

    Attributes:
        model: the name that the client asked for.
        stream: whether the answer is to be streamed.
        choices: how many choices the answer has: `n`, times the prompts of a completion.
        max_tokens: the bound on generated tokens per choice, or None.
        logprobs: the most log probabilities asked for per token.
        schema_bytes: the size of the JSON schema or grammar that constrains the answer.
        prompt_bytes: the body's size in bytes, the base of token estimates.
        choices_param, max_tokens_param, logprobs_param, schema_param: the field that said so, for
            the refusal where the model's bound is passed.
        service_tier: how urgent the client says it is, in OpenAI's words, or empty.
    """

    model: str
    stream: bool
    choices: int
    max_tokens: int | None
    logprobs: int
    schema_bytes: int
    prompt_bytes: int
    choices_param: str = "n"
    max_tokens_param: str = "max_tokens"
    logprobs_param: str = "logprobs"
    schema_param: str = "response_format"
    service_tier: str = ""


EngineRequestWire: TypeAlias = tuple[
    int, str, str, bytes, str, bool, str, float, str, float, str, int, int, str
]

_VERSION = 3


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """What an engine is asked to generate.

    Attributes:
        request_id: ours, unique; the engine's own ids are derived from it.
        operation: chat or completion.
        body: the client's JSON body, checked for what a client must not steer.
        model: the registry name; replaces the body's `model` (which may be an alias).
        stream: whether to answer with SSE.
        tenant: salts the prefix cache, so that one tenant's prompts cannot be probed by another.
        timeout_s: seconds that are left for the whole answer.
        holder: the Ingress process that answers the client, by its random id; whose concurrency
            slots count it.
        weight: the tenant's share of a contended replica.
        service_class: how urgent it is.
        tokens: the estimate of the tokens that it will take, the prompt included; 0 for unknown.
        choices: sequences that it generates at once, over all of its prompts.
        trace: the `traceparent` of the Ingress's span; empty where the request is a trace of its
            own (inference/trace.py).
    """

    request_id: RequestId
    operation: Operation
    body: bytes
    model: str
    stream: bool
    tenant: str
    timeout_s: float
    holder: str = ""
    weight: float = 1.0
    service_class: ServiceClass = ServiceClass.STANDARD
    tokens: int = 0
    choices: int = 1
    trace: str = ""

    def to_wire(self) -> EngineRequestWire:
        return (
            _VERSION, self.request_id, self.operation.value, self.body, self.model, self.stream,
            self.tenant, self.timeout_s, self.holder, self.weight, self.service_class.value,
            self.tokens, self.choices, self.trace,
        )  # fmt: skip

    @staticmethod
    def from_wire(wire: EngineRequestWire) -> EngineRequest:
        (
            _, request_id, operation, body, model, stream, tenant, timeout_s, holder, weight,
            service_class, tokens, choices, trace,
        ) = wire  # fmt: skip
        return EngineRequest(
            RequestId(request_id), Operation(operation), body, model, stream, tenant, timeout_s,
            holder, weight, ServiceClass(service_class), tokens, choices, trace,
        )  # fmt: skip
