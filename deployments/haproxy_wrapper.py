"""Rewrites the configuration that HAProxy is given, then becomes HAProxy.

    python -I -S haproxy_wrapper.py BINARY DEFAULTS_FILE [HAProxy's own arguments: -db -f FILE ...]

Runs without any package, so that it starts in milliseconds; Serve starts it again at each change
of the ingress replicas. The file stays where it is, because Serve recognizes its HAProxy by the
path in the command line.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

# `bind :9101` and `bind *:8404`: the metrics and statistics pages, without a password.
_OPEN_BIND = re.compile(r"^(\s*bind\s+)\*?:(\d+)", re.MULTILINE)
# Serve's one page for 502, 503 and 504, which says 500.
_ERROR_FILE = re.compile(r"^\s*errorfile\s.*\n", re.MULTILINE)
_DEFAULTS = re.compile(r"^defaults[ \t]*\n", re.MULTILINE)


def rewrite(config: str, defaults: str) -> str:
    """The configuration with closed addresses and `defaults` in its `defaults` section.

    Rewriting twice gives the same text. Raises ValueError where there is no such section, or
    where an open address is left.
    """
    closed = _OPEN_BIND.sub(r"\g<1>127.0.0.1:\g<2>", config)
    if re.search(r"^\s*bind\s+(\*|:\d)", closed, re.MULTILINE):
        raise ValueError("an address is still open")
    if defaults in closed:
        return closed
    if _DEFAULTS.search(closed) is None:
        raise ValueError("no defaults section")
    return _DEFAULTS.sub(lambda found: found.group() + defaults, _ERROR_FILE.sub("", closed), 1)


def main(arguments: list[str]) -> None:
    """Rewrite the file after `-f`, if there is one, and execute the real HAProxy."""
    binary, defaults_file, *rest = arguments
    if "-f" in rest[:-1]:
        path = Path(rest[rest.index("-f") + 1])
        defaults = Path(defaults_file).read_text(encoding="utf-8")
        path.write_text(rewrite(path.read_text(encoding="utf-8"), defaults), encoding="utf-8")
    os.execv(binary, [binary, *rest])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
