"""A real Prometheus and its promtool for tests, started by the test itself.

`find_programs` looks on the path, then in a folder of its own, where it unpacks Debian's package
`prometheus` without installing it: apt fetches and verifies it, and both programs are static. A
server keeps its data in a temporary folder and listens on a free loopback port.

Failure behavior: `find_programs` raises `RuntimeError`, which says what to install, where neither is
to be had; `start` raises it with the server's last words; `stop` ends exactly the process that was
started.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from helixflow.testing.valkey import free_port

PROGRAMS = ("prometheus", "promtool")

_PACKAGE = "prometheus"
_FETCH_S = 180.0
_READY_S = 60.0
_STOP_S = 20.0
_ASK_S = 30.0


def find_programs(cache: Path, path: str | None = None) -> dict[str, Path]:
    """`prometheus` and `promtool`, by name.

    Args:
        cache: where Debian's package is unpacked, once; made where it is missing.
        path: where programs are looked for, apt's and dpkg's too; PATH where it is None.
    """
    on_path = {name: shutil.which(name, path=path) for name in PROGRAMS}
    if all(on_path.values()):
        return {name: Path(found) for name, found in on_path.items() if found is not None}
    unpacked = {name: cache / name for name in PROGRAMS}
    if not all(program.exists() for program in unpacked.values()):
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not all(program.exists() for program in unpacked.values()):
                _unpack(cache, path)
    return unpacked


def _unpack(cache: Path, path: str | None) -> None:
    apt, dpkg = shutil.which("apt-get", path=path), shutil.which("dpkg", path=path)
    if apt is None or dpkg is None:
        raise _missing("there is no apt-get to fetch them with")
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch-") as name:
        folder = Path(name)
        # apt's own account could not write into this folder.
        fetch = [apt, "-q", "-o", "APT::Sandbox::User=root", "download", _PACKAGE]
        said = _run(fetch, folder)
        if said is not None and os.geteuid() == 0:
            # A fresh machine does not know any package yet.
            said = _run([apt, "-q", "update"], folder) or _run(fetch, folder)
        if said is not None:
            raise _missing(f"apt-get could not fetch them: {said}")
        (package,) = folder.glob("*.deb")
        if said := _run([dpkg, "-x", str(package), "unpacked"], folder):
            raise _missing(f"dpkg could not unpack them: {said}")
        for program in PROGRAMS:
            (folder / "unpacked" / "usr" / "bin" / program).replace(cache / program)


def _run(words: list[str], folder: Path) -> str | None:
    """The last words of a command that failed."""
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {_FETCH_S:g} s"
    return None if done.returncode == 0 else (done.stderr or done.stdout)[-500:]


def _missing(why: str) -> RuntimeError:
    return RuntimeError(
        f"prometheus and promtool are not on the path, and {why}. Install them (Debian: "
        f"apt-get install {_PACKAGE}) or put both on the PATH."
    )


class PrometheusServer:
    """One server with a configuration. A context manager.

    Args:
        program: of `find_programs`.
        config: the configuration; relative names in it start from its folder.
    """

    def __init__(self, program: Path, config: Path) -> None:
        self._program = program
        self._config = config
        self._folder = Path(tempfile.mkdtemp(prefix="helixflow-prometheus-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> PrometheusServer:
        try:
            self.start()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def start(self) -> None:
        """Start, and wait until it is ready."""
        log = self._folder / "log"
        with log.open("wb") as written:
            self._process = subprocess.Popen(
                [
                    str(self._program), f"--config.file={self._config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                process_group=0,
            )  # fmt: skip
        deadline = time.monotonic() + _READY_S
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("Prometheus did not start: " + log.read_text()[-500:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop. Calling it twice is harmless."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives. Raises `ValueError` where it cannot be answered."""
        found = self._ask(f"query?{urlencode({'query': expression})}")
        series: list[dict[str, Any]] = found["result"]
        return series

    def targets(self) -> dict[str, str]:
        """Each job, and what its last scrape met: empty where it went well."""
        active = self._ask("targets?state=active")["activeTargets"]
        health = {one["labels"]["job"]: (one["health"], one["lastError"]) for one in active}
        return {
            job: "" if state == "up" else said or state for job, (state, said) in health.items()
        }

    def _ask(self, what: str) -> Any:
        status, body = self._get(f"/api/v1/{what}")
        answer = json.loads(body)
        if status != 200:
            raise ValueError(answer["error"])
        return answer["data"]

    def _ready(self) -> bool:
        try:
            return self._get("/-/ready")[0] == 200
        except OSError:
            return False

    def _get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ASK_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
