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
from collections.abc import Iterable, Mapping

import psutil

MARK = "HELIXFLOW_BENCH_MARK"


class Family:
    """Everything that was started with one mark."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(8)
        self._known: set[psutil.Process] = set()
        self._cpu_s: dict[psutil.Process, float] = {}

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

    def cpu_s(self) -> float:
        """CPU seconds used so far, by members that ended too (as last seen)."""
        for process in self.members():
            try:
                used = process.cpu_times()
            except psutil.Error:
                continue
            self._cpu_s[process] = used.user + used.system
        return sum(self._cpu_s.values())

    def memory_mib(self) -> float:
        """Memory held by all of them: each page shared by several is divided among them (PSS)."""
        return sum(map(_pss_bytes, self.members())) / 2**20

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
