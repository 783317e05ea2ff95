"""Free ports on loopback, and waiting until one answers."""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.systems.ports import StartFailed

HOST = "127.0.0.1"
_READY_S = 300.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. All are held until the last is found, so none comes twice."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def wait_until_ok(port: int, path: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until `GET path` answers 200. Raises StartFailed when `process` ends, or in 5 minutes.

    `log` is where the process writes: its last line explains the failure.
    """
    _wait(lambda: _ok(port, path), process, log)


def wait_until_listens(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until connections are accepted. Raises StartFailed as `wait_until_ok` does."""
    _wait(lambda: _listens(port), process, log)


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while not ready():
        if process.poll() is not None:
            raise StartFailed(f"ended with status {process.returncode}: {last_line(log)}")
        if time.monotonic() > deadline:
            raise StartFailed(f"not ready in {_READY_S:g} s: {last_line(log)}")
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def _ok(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "no log"
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "an empty log")
