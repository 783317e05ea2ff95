"""The facts of a request's events: what Ingress says at its admission and its end, and the Model.

The events of one request share its id, and come from two processes in any order, each at least
once. `usage_row` (telemetry) merges them; traces and the audit log read them as well. Facts are
plain values by name; a reader passes over names that it does not know and has a default for each
that is not there, because processes of two versions run side by side during an upgrade.

    signals.record(Event(EventKind.REQUEST_ADMITTED, now, request_id, admitted.facts()))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from helixflow.inference.model_spec import ModelSpec
from helixflow.inference.price import NanoPrice
from helixflow.inference.principal import Principal
from helixflow.inference.quota import ServiceClass
from helixflow.inference.request import Operation
from helixflow.inference.usage import Usage

Value: TypeAlias = str | int | float | bool | None
Facts: TypeAlias = dict[str, Value]

T = TypeVar("T", str, int, float, bool)

OK = "ok"
"""The outcome of a request that was answered whole."""
CANCELED = "canceled"
"""The outcome of a request whose client hung up. All other outcomes are `Refusal` words."""

_STAGE = "stage_"


@dataclass(frozen=True, slots=True)
class Admitted:
    """`request.admitted`: an Ingress lets a request through. A fallback admits it once more.

    Attributes:
        organization, project, key, subject: who asks, as in `Principal`.
        model: by registry name, never an alias.
        region: where the model runs, or empty.
        operation: an `Operation`'s word.
        service_class: a `ServiceClass`'s word.
        stream: whether the answer is streamed.
        estimated_tokens: what was reserved, prompt and answer; 0 where nothing was.
        price: of this moment.
    """

    organization: str
    project: str
    key: str
    subject: str = ""
    model: str = ""
    region: str = ""
    operation: str = Operation.CHAT.value
    service_class: str = ServiceClass.STANDARD.value
    stream: bool = False
    estimated_tokens: int = 0
    price: NanoPrice = field(default_factory=NanoPrice)

    @staticmethod
    def of(
        principal: Principal,
        spec: ModelSpec,
        operation: Operation,
        *,
        stream: bool,
        estimated_tokens: int = 0,
        service_class: ServiceClass = ServiceClass.STANDARD,
    ) -> Admitted:
        """What an Ingress knows when it lets a request through."""
        return Admitted(
            principal.organization,
            principal.project,
            principal.key,
            principal.subject,
            spec.name,
            spec.region,
            operation.value,
            service_class.value,
            stream,
            estimated_tokens,
            NanoPrice.of(spec.price),
        )

    def facts(self) -> Facts:
        """As plain values."""
        price = self.price
        return {
            "organization": self.organization,
            "project": self.project,
            "key": self.key,
            "subject": self.subject,
            "model": self.model,
            "region": self.region,
            "operation": self.operation,
            "service_class": self.service_class,
            "stream": self.stream,
            "estimated_tokens": self.estimated_tokens,
            "input_price": price.input,
            "cached_input_price": price.cached_input,
            "output_price": price.output,
        }

    @staticmethod
    def read(facts: Mapping[str, Value]) -> Admitted:
        """What `facts` wrote. Raises ValueError where a value is of another kind."""
        return Admitted(
            _get(facts, "organization", ""),
            _get(facts, "project", ""),
            _get(facts, "key", ""),
            _get(facts, "subject", ""),
            _get(facts, "model", ""),
            _get(facts, "region", ""),
            _get(facts, "operation", Operation.CHAT.value),
            _get(facts, "service_class", ServiceClass.STANDARD.value),
            _get(facts, "stream", False),  # noqa: FBT003 (a default, not a switch)
            _get(facts, "estimated_tokens", 0),
            NanoPrice(
                _get(facts, "input_price", 0),
                _get(facts, "cached_input_price", 0),
                _get(facts, "output_price", 0),
            ),
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """`request.ended`: an Ingress is done with a request that it had admitted.

    Attributes:
        outcome: `ok`, `canceled`, or the word of a `Refusal`.
        usage: as far as the Ingress was told; None where it was not.
        duration_s: from the request's arrival to its end.
        first_token_s: from its arrival to the first bytes of the answer; None without any.
        finish_reason: OpenAI's word of the first choice, or empty.
        stages: seconds that each stage of its way took (`authenticate`, `reserve`, ...), by name.
        whole_s: from its arrival until the whole answer was there; only in a second end, which says
            that its last bytes could not be delivered. The first one was `ok` at that moment.
    """

    outcome: str
    usage: Usage | None = None
    duration_s: float = 0.0
    first_token_s: float | None = None
    finish_reason: str = ""
    stages: Mapping[str, float] = field(default_factory=dict)
    whole_s: float | None = None

    def facts(self) -> Facts:
        """As plain values."""
        facts: Facts = {
            "outcome": self.outcome,
            "duration_s": self.duration_s,
            "first_token_s": self.first_token_s,
            "finish_reason": self.finish_reason,
        }
        if self.usage is not None:
            _put_usage(facts, self.usage)
        if self.whole_s is not None:
            facts["whole_s"] = self.whole_s
        for stage, seconds in self.stages.items():
            facts[f"{_STAGE}{stage}_s"] = seconds
        return facts

    @staticmethod
    def read(facts: Mapping[str, Value]) -> Ended:
        """What `facts` wrote. Raises ValueError where a value is of another kind."""
        return Ended(
            _get(facts, "outcome", ""),
            _usage(facts) if "prompt_tokens" in facts else None,
            _get(facts, "duration_s", 0.0),
            _seconds(facts, "first_token_s"),
            _get(facts, "finish_reason", ""),
            {
                name.removeprefix(_STAGE).removesuffix("_s"): _get(facts, name, 0.0)
                for name in facts
                if name.startswith(_STAGE)
            },
            _seconds(facts, "whole_s"),
        )


@dataclass(frozen=True, slots=True)
class Generated:
    """`request.generated`: a replica of a Model is done with a request.

    A request that was given to several replicas has several; each tells all that the client would
    be told, what was generated before a resumption included.

    Attributes:
        model: by registry name.
        outcome: `ok`, `canceled`, or the word of a `Refusal`.
        usage: counted from the engine's own output, hang-ups included.
        replica: which one, by Serve's id.
        queue_s: how long it waited for a sequence slot.
        first_token_s: from its arrival in the replica to the first frame; None without any.
        duration_s: from its arrival in the replica to its end.
        finish_reason: OpenAI's word of the first choice, or empty.
    """

    model: str
    outcome: str
    usage: Usage
    replica: str = ""
    queue_s: float = 0.0
    first_token_s: float | None = None
    duration_s: float = 0.0
    finish_reason: str = ""

    def facts(self) -> Facts:
        """As plain values."""
        facts: Facts = {
            "model": self.model,
            "outcome": self.outcome,
            "replica": self.replica,
            "queue_s": self.queue_s,
            "first_token_s": self.first_token_s,
            "duration_s": self.duration_s,
            "finish_reason": self.finish_reason,
        }
        _put_usage(facts, self.usage)
        return facts

    @staticmethod
    def read(facts: Mapping[str, Value]) -> Generated:
        """What `facts` wrote. Raises ValueError where a value is of another kind."""
        return Generated(
            _get(facts, "model", ""),
            _get(facts, "outcome", ""),
            _usage(facts),
            _get(facts, "replica", ""),
            _get(facts, "queue_s", 0.0),
            _seconds(facts, "first_token_s"),
            _get(facts, "duration_s", 0.0),
            _get(facts, "finish_reason", ""),
        )


def _put_usage(facts: Facts, usage: Usage) -> None:
    facts["prompt_tokens"] = usage.prompt_tokens
    facts["cached_tokens"] = usage.cached_tokens
    facts["completion_tokens"] = usage.completion_tokens


def _usage(facts: Mapping[str, Value]) -> Usage:
    return Usage(
        _get(facts, "prompt_tokens", 0),
        _get(facts, "completion_tokens", 0),
        _get(facts, "cached_tokens", 0),
    )


def _seconds(facts: Mapping[str, Value], name: str) -> float | None:
    return None if facts.get(name) is None else _get(facts, name, 0.0)


def _get(facts: Mapping[str, Value], name: str, default: T) -> T:
    """A fact of its default's kind; what is not there is the default."""
    value = facts.get(name)
    if value is None:
        return default
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise ValueError(f"the fact {name} is of the wrong kind")
    return value
