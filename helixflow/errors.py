"""Every error of HelixFlow, as one tree, and the reasons for which a request is refused.

    HelixFlowError
    ├── ConfigError            the configuration cannot be used; raised before anything starts
    ├── ModelLoadError         a model cannot be brought up (source, memory, engine)
    └── Refused                a request gets no answer, for a reason from `Refusal`
        ├── InvalidRequest     the client must change what it sent
        ├── Unauthenticated    no credential, or one that is not valid
        ├── Forbidden          a valid credential that may not do this
        ├── NotFound           nothing of that name that this caller may see
        ├── Conflict           it does not go with what is there already
        ├── PreconditionFailed it is no longer what the caller saw
        ├── TooLarge           the body or the prompt is over a limit
        ├── QuotaExceeded      the caller's limit is used up; `retry_after_s` says until when
        ├── Overloaded         a bounded queue is full
        ├── Unavailable        a part that is needed is away
        └── DeadlineExceeded   the time given to the request is over

Errors carry facts, never status codes: each protocol chooses its own form in one file
(`gateway/http/errors.py` for HTTP). Between processes a refusal travels as the tuple of
`Refused.to_wire`, never as a pickled exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeAlias


class Refusal(StrEnum):
    """Why a request was refused: the error code, the metric label and the audit word alike."""

    AUTH_UNAVAILABLE = "auth_unavailable"
    BODY_TOO_LARGE = "body_too_large"
    CONFLICT = "conflict"
    CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    ENGINE_DIED = "engine_died"
    EXPIRED_API_KEY = "expired_api_key"
    INTERNAL_ERROR = "internal_error"
    INVALID_API_KEY = "invalid_api_key"
    INVALID_ENCODING = "invalid_encoding"
    INVALID_JSON = "invalid_json"
    INVALID_TYPE = "invalid_type"
    INVALID_VALUE = "invalid_value"
    LIMITS_UNAVAILABLE = "limits_unavailable"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    MISSING_API_KEY = "missing_api_key"
    MISSING_PARAMETER = "missing_required_parameter"
    MODEL_FAILED = "model_failed"
    MODEL_LOADING = "model_loading"
    MODEL_NOT_FOUND = "model_not_found"
    OVERLOADED = "overloaded"
    PERMISSION_DENIED = "permission_denied"
    PRECONDITION_FAILED = "precondition_failed"
    QUEUE_FULL = "queue_full"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    RESOURCE_NOT_FOUND = "resource_not_found"
    ROUTE_NOT_FOUND = "route_not_found"
    SLOW_READER = "slow_reader"
    TELEMETRY_UNAVAILABLE = "telemetry_unavailable"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"


class HelixFlowError(Exception):
    """The root of the tree."""


class ConfigError(HelixFlowError):
    """The configuration cannot be used; the message names the key and what to write instead."""


class ModelLoadError(HelixFlowError):
    """A model cannot be brought up; the message is shown to operators and to callers (503)."""


BreachWire: TypeAlias = tuple[str, str, float, float, float]
RefusalWire: TypeAlias = (
    tuple[str, str, str | None, float | None]
    | tuple[str, str, str | None, float | None, BreachWire]
)
"""`(reason, message, param, retry_after_s)`, and the breach of a limit where there is one."""


@dataclass(frozen=True, slots=True)
class Breach:
    """The limit that a request would have passed.

    Attributes:
        name: its name (`requests_per_minute`).
        scope: whose use it counts (`project=proj_...`, `key=key_...,model=m`).
        limit: how much it allows: requests, tokens, requests at a time, US dollars.
        current: how much of it is used or reserved.
        reset_s: seconds until nothing of it is used, if nothing more is.
    """

    name: str
    scope: str
    limit: float
    current: float
    reset_s: float

    def to_wire(self) -> BreachWire:
        return (self.name, self.scope, self.limit, self.current, self.reset_s)


class Refused(HelixFlowError):
    """A request is refused.

    Args:
        reason: the machine-readable reason.
        message: one sentence for a person; never holds a secret or another tenant's facts.
        param: the offending field in OpenAI's notation (`messages[0].role`), where there is one.
        retry_after_s: seconds after which the same request may succeed, where that is known.
        breach: the limit that it would have passed, where that is the reason.
    """

    def __init__(
        self,
        reason: Refusal,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        breach: Breach | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.breach = breach

    def to_wire(self) -> RefusalWire:
        """The refusal as a plain tuple, for another process."""
        plain = (self.reason.value, self.message, self.param, self.retry_after_s)
        return plain if self.breach is None else (*plain, self.breach.to_wire())

    @staticmethod
    def from_wire(wire: RefusalWire) -> Refused:
        """The refusal that `to_wire` described, as the class that belongs to its reason.

        A reason that this version does not know (a model app may be newer than its caller)
        becomes `internal_error` and keeps its message.
        """
        name, message, param, retry_after_s = wire[:4]
        breach = Breach(*wire[4]) if len(wire) > 4 else None
        try:
            reason = Refusal(name)
        except ValueError:
            reason = Refusal.INTERNAL_ERROR
        kind = _KINDS.get(reason, Refused)
        return kind(reason, message, param=param, retry_after_s=retry_after_s, breach=breach)

    def __reduce__(self) -> tuple[object, tuple[RefusalWire]]:
        return (Refused.from_wire, (self.to_wire(),))


class InvalidRequest(Refused):
    """The client must change what it sent."""


class Unauthenticated(Refused):
    """No credential, or one that is not valid."""


class Forbidden(Refused):
    """A valid credential that may not do this."""


class NotFound(Refused):
    """Nothing of that name that this caller may see."""


class Conflict(Refused):
    """It does not go with what is there already: a name in use, an object that was switched off."""


class PreconditionFailed(Refused):
    """It is no longer what the caller saw (`If-Match`)."""


class TooLarge(Refused):
    """The body or the prompt is over a limit."""


class QuotaExceeded(Refused):
    """The caller's limit is used up."""


class Overloaded(Refused):
    """A bounded queue is full."""


class Unavailable(Refused):
    """A part that is needed is away."""


class DeadlineExceeded(Refused):
    """The time given to the request is over."""

    @classmethod
    def of(cls, what: str, limit_s: float) -> Self:
        """The refusal that says which deadline passed."""
        return cls(Refusal.DEADLINE_EXCEEDED, f"{what} took longer than {limit_s:g} s.")


_KINDS: dict[Refusal, type[Refused]] = {
    Refusal.AUTH_UNAVAILABLE: Unavailable,
    Refusal.BODY_TOO_LARGE: TooLarge,
    Refusal.CONFLICT: Conflict,
    Refusal.CONTEXT_LENGTH_EXCEEDED: TooLarge,
    Refusal.DEADLINE_EXCEEDED: DeadlineExceeded,
    Refusal.ENGINE_DIED: Unavailable,
    Refusal.EXPIRED_API_KEY: Unauthenticated,
    Refusal.INVALID_API_KEY: Unauthenticated,
    Refusal.INVALID_ENCODING: InvalidRequest,
    Refusal.INVALID_JSON: InvalidRequest,
    Refusal.INVALID_TYPE: InvalidRequest,
    Refusal.INVALID_VALUE: InvalidRequest,
    Refusal.LIMITS_UNAVAILABLE: Unavailable,
    Refusal.METHOD_NOT_ALLOWED: InvalidRequest,
    Refusal.MISSING_API_KEY: Unauthenticated,
    Refusal.MISSING_PARAMETER: InvalidRequest,
    Refusal.MODEL_FAILED: Unavailable,
    Refusal.MODEL_LOADING: Unavailable,
    Refusal.MODEL_NOT_FOUND: NotFound,
    Refusal.OVERLOADED: Overloaded,
    Refusal.PERMISSION_DENIED: Forbidden,
    Refusal.PRECONDITION_FAILED: PreconditionFailed,
    Refusal.QUEUE_FULL: QuotaExceeded,
    Refusal.RATE_LIMIT_EXCEEDED: QuotaExceeded,
    Refusal.REGISTRY_UNAVAILABLE: Unavailable,
    Refusal.RESOURCE_NOT_FOUND: NotFound,
    Refusal.ROUTE_NOT_FOUND: NotFound,
    Refusal.SLOW_READER: Unavailable,
    Refusal.TELEMETRY_UNAVAILABLE: Unavailable,
    Refusal.UNSUPPORTED_PARAMETER: InvalidRequest,
}
