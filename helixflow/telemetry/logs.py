"""Structured logs: one JSON object a line, secrets redacted, never the content of a prompt.

Every record of the standard library's logging in the process goes through the same chain, so Ray
Serve's and vLLM's lines come out the same way as ours.
"""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Mapping, Set
from typing import TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger

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


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Make this process log JSON lines to `stream` (standard error). Harmless to repeat.

    Standard error is the process's own: Serve puts a logger of its own in the place of
    `sys.stderr`, which drops what is below its level and breaks the lines.
    """
    chain: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *chain,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.__stderr__ if stream is None else stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _redact_event,  # last, so that nothing that is added before it gets past it
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    for old in [one for one in root.handlers if getattr(one, "helixflow", False)]:
        root.removeHandler(old)
    handler.helixflow = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level)
