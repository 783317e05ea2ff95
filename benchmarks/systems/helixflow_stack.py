"""HelixFlow, started and stopped as a user would: `helixflow up` and `helixflow down`.

Everything goes through the front door: the configuration file, the command line, and the key that
`up` leaves in the home folder. Authentication is always on.

Failure behavior: `down` that fails is reported, and what is left is ended by process ids.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.systems.in_process import HOME
from benchmarks.systems.loopback import HOST, free_ports, last_line
from benchmarks.systems.ports import Running, StartFailed, System
from benchmarks.systems.processes import Family

_UP_S = 300.0
_DOWN_S = 120.0
ADMIN_KEY = "HELIXFLOW_ADMIN_KEY"
# Beside the interpreter, not what a link points at: that is how a virtual environment is found.
_COMMAND = Path(sys.executable).with_name("helixflow")


class HelixFlow:
    """Implements `System` for one configuration file.

    Args:
        overrides: environment variables that change a setting (`HELIXFLOW__STACK__...`).
        more: models beside those of the file. One that runs takes others by a further
            `helixflow up`, as a user changes a configuration.
    """

    name = "helixflow"
    title = "HelixFlow"
    start_s = 30.0

    def __init__(
        self,
        config: Path,
        models_dir: Path,
        overrides: Mapping[str, str] | None = None,
        more: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.base = f"{type(self).__name__} {config.name} {sorted((overrides or {}).items())}"
        self.more = tuple(more)
        self._config = config
        self._port = 0
        self._overrides = {
            "HELIXFLOW__ENGINE__MODELS_DIR": str(models_dir),
            **(overrides or {}),
        }
        self._home: Path | None = None
        self._log: Path | None = None
        self.family = Family()

    def start(self, folder: Path) -> Running:
        home, self._port = folder / "home", free_ports(1)[0]
        self._home, self._log = home, folder / "helixflow.log"
        begin = time.monotonic()
        summary = self._up()
        ready_s = time.monotonic() - begin
        keys = read_env(home / "env")
        # `up` counts from its own first line; its interpreter had to start before that.
        command_s = ready_s - summary["seconds"]
        return Running(
            HOST,
            self._port,
            ready_s,
            first_token_s=command_s + summary["first_token_s"],
            headers={"authorization": f"Bearer {keys['OPENAI_API_KEY']}"},
            facts={
                "config": self._config.name,
                "authentication": True,
                "command_s": round(command_s, 3),
                "steps": summary["steps"],
            },
            private={
                HOME: str(home),
                **{name: key for name, key in keys.items() if name == ADMIN_KEY},
            },
            change=self.take,
        )

    def become(self, other: System) -> None:
        """See `System.become`: the other's models, without a stop."""
        assert isinstance(other, HelixFlow)
        self.take(other.more)

    def take(self, more: Sequence[Mapping[str, Any]]) -> None:
        """See `Running.change`."""
        if self.more != tuple(more):
            self.more = tuple(more)
            self._up()

    def stop(self) -> None:
        if self._home is not None and self._log is not None:
            self._run("down", "--home", str(self._home), limit_s=_DOWN_S)

    def _up(self) -> dict[str, Any]:
        """`helixflow up`, and what it says of itself. Raises StartFailed."""
        assert self._home is not None
        assert self._log is not None
        config = self._config
        if self.more:
            written = yaml.safe_load(config.read_text(encoding="utf-8"))
            written["models"] = [*written["models"], *map(dict, self.more)]
            config = self._home.parent / "config.yaml"
            config.write_text(yaml.safe_dump(written), encoding="utf-8")
        status, said = self._run(
            "up", "--json", "--home", str(self._home), "--port", str(self._port),
            "--config", str(config), limit_s=_UP_S,
        )  # fmt: skip
        if status:
            raise StartFailed(f"`helixflow up` ended with {status}: {last_line(self._log)}")
        summary: dict[str, Any] = json.loads(said)
        return summary

    def _run(self, *arguments: str, limit_s: float) -> tuple[int, bytes]:
        """Exit status and standard output."""
        assert self._log is not None
        environment = self.family.environment(self._overrides)
        with self._log.open("ab") as log:
            try:
                done = subprocess.run(
                    [str(_COMMAND), *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    timeout=limit_s,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return 124, b""
        return done.returncode, done.stdout


class Plain(HelixFlow):
    """HelixFlow without limits and policies, where the same scenario has it with everything on."""

    name = "helixflow_plain"
    title = "HelixFlow, no limits or policies"


def read_env(file: Path) -> dict[str, str]:
    """The variables of a file that is meant to be sourced by a shell."""
    words = shlex.split(file.read_text(encoding="utf-8"), comments=True)
    pairs = (word.split("=", 1) for word in words if "=" in word)
    return {name: value for name, value in pairs}  # noqa: C416 - split gives lists, not pairs
