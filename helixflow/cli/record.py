"""What is written down about a stack: `stack.json` in its home folder, for its owner alone.

A stack's id is in the environment of every process that belongs to it (`MARKER`); stopping ends
exactly those.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from helixflow.cli.addresses import Ports
from helixflow.cli.failure import CommandFailed

MARKER = "HELIXFLOW_STACK"
_FILE = "stack.json"
_LOCK = "stack.lock"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Stack:
    """One running platform on this machine.

    Attributes:
        id: marks its processes.
        home: its folder, absolute.
        temp: its short-lived files, absolute and short (Unix socket paths end at 107 bytes).
        host: where the front listens.
        ports: see `Ports`.
        config: the configuration file, absolute.
        environment: a digest of the environment that its processes were started with.
        deployed: a digest of the settings that were deployed last; empty before the first time.
        processes: `(pid, creation time in epoch seconds)` of Ray's own servers.
    """

    id: str
    home: str
    temp: str
    host: str
    ports: Ports
    config: str
    environment: str = ""
    deployed: str = ""
    processes: tuple[tuple[int, float], ...] = field(default=())

    @property
    def base_url(self) -> str:
        """Where the platform answers, without `/v1`."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{host}:{self.ports.http}"

    @property
    def dashboard_url(self) -> str:
        return f"http://127.0.0.1:{self.ports.dashboard}"

    @property
    def ray_temp(self) -> Path:
        return Path(self.temp) / "r"

    @property
    def proxy_folder(self) -> Path:
        return Path(self.temp) / "h"

    @property
    def token_file(self) -> Path:
        """The secret that opens Ray's own interfaces."""
        return Path(self.home) / "ray-token"

    @property
    def logs(self) -> Path:
        """Ray's log files of the running session."""
        return self.ray_temp / "session_latest" / "logs"

    @property
    def kept_logs(self) -> Path:
        """The log files of the session before this one."""
        return Path(self.home) / "logs"

    @property
    def ray_address(self) -> str:
        return f"127.0.0.1:{self.ports.gcs}"

    @property
    def ray_environment(self) -> dict[str, str]:
        """What a program sets to reach this stack's Ray, and not another one."""
        return {
            "RAY_ADDRESS": self.ray_address,
            # Ray's own interfaces run code for whoever reaches them: only for the token's holder.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            # Ray on Linux takes the machine's outside address even when it is given 127.0.0.1;
            # with this it stays on loopback, as on a laptop, and survives a change of network.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        }

    def save(self) -> None:
        """Write the record; a reader sees the old one or this one, never half."""
        raw = asdict(self) | {
            "version": _VERSION,
            "stack": self.id,
            "base_url": self.base_url,
            "dashboard_url": self.dashboard_url,
            "ray_address": self.ray_address,
            "ray_environment": self.ray_environment,
            "ports": self.ports.by_name(),
        }
        write_private(Path(self.home) / _FILE, json.dumps(raw, indent=1))

    def forget(self) -> None:
        """Take the record away."""
        (Path(self.home) / _FILE).unlink(missing_ok=True)

    def with_deployed(self, digest_: str) -> Stack:
        return replace(self, deployed=digest_)

    def with_processes(self, processes: tuple[tuple[int, float], ...]) -> Stack:
        return replace(self, processes=processes)


def load_stack(home: Path) -> Stack | None:
    """The record in this home folder, or None. Raises CommandFailed where it cannot be read."""
    path = home / _FILE
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CommandFailed(f"{path} cannot be read: {error}") from error
    if raw.get("version") != _VERSION:
        raise CommandFailed(f"{path} was written by another version of HelixFlow")
    kept = {known.name: raw[known.name] for known in fields(Stack)}
    kept["ports"] = Ports(raw["ports"]["http"], raw["ports"]["gcs"])
    kept["processes"] = tuple((int(pid), float(born)) for pid, born in raw["processes"])
    return Stack(**kept)


def digest(value: object) -> str:
    """A short digest of plain values; the same value gives the same text."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the home folder: of two commands that start or stop the same stack, one gives way."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            flock(handle, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(
                f"another helixflow command is starting or stopping the stack in {home}"
            ) from None
        yield
    finally:
        os.close(handle)
