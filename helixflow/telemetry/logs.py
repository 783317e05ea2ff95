"""Structured logs: one JSON object a line, secrets redacted, never the content of a prompt.

Every record of the standard library's logging in the process goes through the same chain, so Ray
Serve's and vLLM's lines come out the same way as ours: Serve keeps its own files, and its handlers
write our form into them; vLLM's processes get their handler from `engine/vllm_logging.json`. A line
that is written while a request is served says which one, and in which trace.

Failure behavior: none of its own; what cannot be written is the standard library's concern.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
from collections.abc import Mapping, Set
from logging.handlers import MemoryHandler
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

from helixflow.ids import RequestId
from helixflow.inference.bearings import bearings
from helixflow.inference.trace import own_trace_id

# API keys of ours and of OpenAI's shape, bearer credentials, JSON Web Tokens, and what stands
# before the @ of a database's address.
_SECRET = re.compile(
    r"hx-(?:proj|svc|adm)-[A-Za-z0-9_\-]{8,}"
    r"|\bsk-[A-Za-z0-9_\-]{8,}"
    r"|(?i:bearer\s+)[A-Za-z0-9._~+/=\-]{8,}"
    r"|eyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+"
    r"|(?<=://)[^\s/@:]*:[^\s/@]+(?=@)"
)
_SECRET_NAMES = frozenset(
    {
        "api_key", "apikey", "authorization", "credential", "passwd", "password", "pepper",
        "secret", "token",
    }
)  # fmt: skip
_SECRET_ENDINGS = tuple(f"_{name}" for name in sorted(_SECRET_NAMES))
_HIDDEN = "[redacted]"
_DEPTH_MAX = 6
# An engine calls its requests after ours, and logs outside of their tasks.
_REQUEST = re.compile(r"req_[0-9a-f]{32}")
_SERVES = "ray.serve"
_REQUESTS = "helixflow.requests"


def redact(text: str) -> str:
    """The text with every credential in it replaced."""
    return _SECRET.sub(_HIDDEN, text)


def _named(name: object, value: object, depth: int) -> object:
    """A value without secrets, or nothing of it where its name says that it is one."""
    plain = str(name).lower().replace("-", "_")
    # `first_token` may be a number of seconds; `access_token` never is.
    counted = isinstance(value, (int, float))
    if plain in _SECRET_NAMES or (plain.endswith(_SECRET_ENDINGS) and not counted):
        return _HIDDEN
    return _without_secrets(value, depth)


def _without_secrets(value: object, depth: int) -> object:
    """What JSON can hold of a value; what is nested too deeply is left out."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return redact(value)
    if not isinstance(value, (Mapping, Set, list, tuple)):
        return redact(repr(value))
    if depth == _DEPTH_MAX:
        return "..."
    if isinstance(value, Mapping):
        return {redact(str(name)): _named(name, inner, depth + 1) for name, inner in value.items()}
    return [_without_secrets(inner, depth + 1) for inner in value]


def _redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {redact(name): _named(name, value, 0) for name, value in event.items()}


def _add_bearings(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The request that is being served, or else the one that the line names."""
    here = bearings()
    if here is not None:
        event["request_id"], event["trace_id"] = here
    elif "request_id" not in event and (named := _REQUEST.search(str(event.get("event")))):
        event["request_id"] = named[0]
        event["trace_id"] = own_trace_id(RequestId(named[0]))
    return event


def _drop_copies(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """What another formatter left on the record of what the line says anyway."""
    for name in ("message", "asctime"):
        event.pop(name, None)
    return event


_CHAIN: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _add_bearings,
]


def _formatter() -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _drop_copies, *_CHAIN],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _redact_event,  # last, so that nothing that is added before it gets past it
            structlog.processors.JSONRenderer(),
        ],
    )


def stream_handler(stream: TextIO | None = None) -> logging.Handler:
    """What writes JSON lines to `stream`, else to the process's own standard error.

    Serve puts a logger of its own in the place of `sys.stderr`, which drops what is below its level
    and breaks the lines.
    """
    handler = logging.StreamHandler(sys.__stderr__ if stream is None else stream)
    handler.setFormatter(_formatter())
    return handler


def vllm_handler() -> logging.Handler:
    """The handler of vLLM's loggers, in whichever of its processes (`engine/vllm_logging.json`).

    Their level stays what VLLM_LOGGING_LEVEL says.
    """
    logging.getLogger("vllm").setLevel(os.environ.get("VLLM_LOGGING_LEVEL", "WARNING").upper())
    return stream_handler()


def configure_logging(
    level: str, stream: TextIO | None = None, *, log_requests: bool = False
) -> None:
    """Make this process log JSON lines to `stream` (standard error). Harmless to repeat.

    Args:
        log_requests: whether each request has a line at its end, in each process.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_CHAIN,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = stream_handler(stream)
    root = logging.getLogger()
    for old in [one for one in root.handlers if getattr(one, "helixflow", False)]:
        root.removeHandler(old)
    handler.helixflow = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger(_REQUESTS).setLevel(logging.INFO if log_requests else logging.CRITICAL)
    _adopt(_SERVES)


def _adopt(name: str) -> None:
    """Let a logger that keeps handlers of its own write our form with them.

    A buffer before a file goes: it would lose its file when vLLM configures logging in this process
    (`logging.config` closes all handlers, and a closed buffer keeps every line to itself).
    """
    logger = logging.getLogger(name)
    for handler in list(logger.handlers):
        if isinstance(handler, MemoryHandler) and handler.target is not None:
            handler.flush()
            file = handler.target
            for each in handler.filters:
                file.addFilter(each)
            logger.removeHandler(handler)
            logger.addHandler(file)
    for handler in logger.handlers:
        handler.setFormatter(_formatter())
