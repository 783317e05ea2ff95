"""The trivial server (systems/trivial.py) as a system."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.settings import ROOT
from benchmarks.systems.loopback import HOST, free_ports, wait_until_listens
from benchmarks.systems.ports import Running, Steady
from benchmarks.systems.processes import Family


class TrivialServer(Steady):
    """Implements `System`."""

    name = "trivial"
    title = "a server that does nothing"
    base = "trivial"
    start_s = 1.0

    def __init__(self) -> None:
        self.family = Family()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path) -> Running:
        port, log = free_ports(1)[0], folder / "trivial.log"
        begin = time.monotonic()
        with log.open("wb") as out:
            process = self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.systems.trivial", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=self.family.environment({}),
            )
        wait_until_listens(port, process, log)
        return Running(HOST, port, time.monotonic() - begin)

    def stop(self) -> None:
        self.family.end()
        if self._process is not None:
            self._process.wait()
