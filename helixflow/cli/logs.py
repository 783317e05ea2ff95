"""The log files of a stack: Serve's, one per replica, what our processes say, and Ray's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from helixflow.cli.failure import NotRunning
from helixflow.cli.record import load_stack

_OURS = ("serve/*.log", "worker-*.err")
_PATTERNS = (*_OURS, "*.log", "*.out", "*.err")
_NOISE = ("python-core-", "export_events", "event_")
_FOLLOW_S = 0.2
_TAIL_BYTES = 256 * 1024


def log_folder(home: Path) -> Path:
    """Where the logs are: of the stack that runs, else of the one before."""
    stack = load_stack(home)
    folders = [home / "logs"] if stack is None else [stack.logs, stack.kept_logs]
    for folder in folders:
        if folder.is_dir():
            return folder.resolve()
    raise NotRunning(f"no logs are known in {home}; start a stack with `helixflow up`")


def log_files(folder: Path, component: str) -> list[Path]:
    """Files that hold something and whose name contains `component`, oldest change first.

    Without a component these are Serve's own (the controller, and one file per replica), and what
    the processes of replicas and actors say.
    """
    patterns = _PATTERNS if component else _OURS
    found = {
        path
        for pattern in patterns
        for path in folder.glob(pattern)
        if component.lower() in path.name.lower()
        and path.stat().st_size
        and not path.name.startswith(_NOISE)
    }
    return sorted(found, key=lambda path: path.stat().st_mtime)


def tail(paths: Sequence[Path], lines: int) -> Iterator[tuple[Path, str]]:
    """The last lines of each file."""
    for path in paths:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
        for line in text.splitlines()[-lines:] if lines else ():
            yield path, line


def follow(
    choose: Callable[[], Sequence[Path]], sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[Path, str]]:
    """Lines that are written from now on, also into files that appear later."""
    places = {path: path.stat().st_size for path in choose()}
    while True:
        for path in choose():
            # A file that appears later is read from its start.
            place = places.setdefault(path, 0)
            with path.open("rb") as file:
                file.seek(place)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            places[path] = place + len(whole)
            for line in whole.decode("utf-8", "replace").splitlines():
                yield path, line
        sleep(_FOLLOW_S)
