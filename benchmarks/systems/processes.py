"""The processes of one system: found by a mark in their environment, ended by their ids.

A mark is inherited by everything that a marked process starts. A program that overwrites its
environment is found as a child of a marked one, and is remembered from then on, adopted by init or
not.

Failure behavior: a process that ends while it is looked at is left out.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import psutil

MARK = "HELIXFLOW_BENCH_MARK"


class Family:
    """Everything that was started with one mark."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self._known: set[psutil.Process] = set()
        self._cpu_s: dict[psutil.Process, float] = {}
        self._kinds: dict[psutil.Process, str] = {}

    def environment(
        self, extra: Mapping[str, str], base: Mapping[str, str] = os.environ
    ) -> dict[str, str]:
        """The environment to start the first process with."""
        # SPT_NOENV: setproctitle leaves the environment alone, so that the mark stays readable.
        return {**base, **extra, MARK: self.mark, "SPT_NOENV": "1"}

    def members(self) -> set[psutil.Process]:
        """The processes that run."""
        everyone = list(psutil.process_iter())
        found = {process for process in everyone if self._is_marked(process)}
        found |= {process for process in self._known if process.is_running()}
        for process in list(found):
            found |= _children(process)
        self._known |= found
        return {process for process in found if _alive(process)}

    def cpu_s(self) -> dict[psutil.Process, float]:
        """CPU seconds used so far by each, by those that ended too (as last seen)."""
        for process in self.members():
            try:
                used = process.cpu_times()
                self._kinds[process] = kind_of(process.cmdline())
            except psutil.Error:
                continue
            self._cpu_s[process] = used.user + used.system
        return dict(self._cpu_s)

    def spent_s(self, before: Mapping[psutil.Process, float]) -> dict[str, float]:
        """CPU seconds used since `before` (an earlier `cpu_s`), by what the processes are."""
        spent: dict[str, float] = {}
        for process, used in self.cpu_s().items():
            kind = self._kinds[process]
            spent[kind] = spent.get(kind, 0.0) + used - before.get(process, 0.0)
        return {kind: seconds for kind, seconds in spent.items() if seconds > 0}

    def memory(self) -> dict[str, tuple[int, float]]:
        """By what processes are: how many, and the MiB that they hold together. Each page that
        several share is divided among them (PSS)."""
        held: dict[str, tuple[int, float]] = {}
        for process in self.members():
            try:
                kind = kind_of(process.cmdline())
            except psutil.Error:
                continue
            count, mib = held.get(kind, (0, 0.0))
            held[kind] = (count + 1, mib + _pss_bytes(process) / 2**20)
        return held

    def memory_mib(self) -> float:
        """Memory held by all of them, MiB."""
        return sum(mib for _, mib in self.memory().values())

    def open_files(self) -> int:
        """File descriptors of all of them, sockets included."""
        return sum(map(_descriptors, self.members()))

    def end(self, grace_s: float = 10.0) -> int:
        """End what still runs: politely, then not. Gives how many there were."""
        left = self.members()
        _signal(left, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self.members() and time.monotonic() < deadline:
            time.sleep(0.1)
        _signal(self.members(), signal.SIGKILL)
        psutil.wait_procs(list(left), timeout=2.0)
        return len(left)

    def _is_marked(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            return bool(process.environ().get(MARK) == self.mark)
        except (psutil.Error, OSError):
            return False


def kind_of(words: Sequence[str]) -> str:
    """What a process is, in a word, by its command line: the same for all replicas of a
    deployment, and for the models that differ by their name."""
    title = next(iter(words), "").strip()
    if title.startswith("ray::"):
        # A replica is `ray::ServeReplica:<app>:<deployment>`, busy with `.<method>()`.
        *_, actor = title.removeprefix("ray::").split("(")[0].split(":")
        return actor.split(".")[0] or "ray"
    if "::" in title:
        return title.split(" ")[0]
    program = Path(title.split(" ")[0]).name
    if program.startswith("ray-dashboard"):
        return "dashboard"
    if not program.startswith("python"):
        return program or "unnamed"
    rest = [word for word in words[1:] if word]
    if "-c" in rest:
        return "multiprocessing" if "multiprocessing" in title + " ".join(rest) else "python -c"
    if "-m" in rest[:-1]:
        return rest[rest.index("-m") + 1].rpartition(".")[2]
    script = next((word for word in rest if not word.startswith("-")), program)
    return Path(script).name.removesuffix(".py")


def _children(process: psutil.Process) -> set[psutil.Process]:
    try:
        return set(process.children(recursive=True))
    except psutil.Error:
        return set()


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _pss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.Error, AttributeError):
        return 0


def _descriptors(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.Error:
        return 0


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
