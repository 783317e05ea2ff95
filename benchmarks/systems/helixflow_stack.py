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
from collections.abc import Mapping
from pathlib import Path

from benchmarks.systems.loopback import HOST, free_ports, last_line
from benchmarks.systems.ports import Running, StartFailed
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
    """

    name = "helixflow"
    title = "HelixFlow"

    def __init__(
        self, config: Path, models_dir: Path, overrides: Mapping[str, str] | None = None
    ) -> None:
        self._config = config
        self._overrides = {
            "HELIXFLOW__ENGINE__MODELS_DIR": str(models_dir),
            **(overrides or {}),
        }
        self._home: Path | None = None
        self._log: Path | None = None
        self.family = Family()

    def start(self, folder: Path) -> Running:
        home, port = folder / "home", free_ports(1)[0]
        self._home, self._log = home, folder / "helixflow.log"
        begin = time.monotonic()
        status, said = self._run(
            "up", "--json", "--home", str(home), "--port", str(port), "--config", str(self._config),
            limit_s=_UP_S,
        )  # fmt: skip
        if status:
            raise StartFailed(f"`helixflow up` ended with {status}: {last_line(self._log)}")
        ready_s = time.monotonic() - begin
        summary = json.loads(said)
        keys = read_env(home / "env")
        # `up` counts from its own first line; its interpreter had to start before that.
        command_s = ready_s - summary["seconds"]
        return Running(
            HOST,
            port,
            ready_s,
            first_token_s=command_s + summary["first_token_s"],
            headers={"authorization": f"Bearer {keys['OPENAI_API_KEY']}"},
            facts={
                "config": self._config.name,
                "authentication": True,
                "command_s": round(command_s, 3),
                "steps": summary["steps"],
            },
            private={name: key for name, key in keys.items() if name == ADMIN_KEY},
        )

    def stop(self) -> None:
        if self._home is not None and self._log is not None:
            self._run("down", "--home", str(self._home), limit_s=_DOWN_S)

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
