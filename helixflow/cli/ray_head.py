"""Starting Ray's head for one stack, as a program of its own: this process never imports Ray.

Failure behavior: where Ray does not come up, the error holds the last lines that it printed; what
it had started already carries the stack's marker and is ended by the caller.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from helixflow.cli.failure import CommandFailed
from helixflow.cli.record import Stack, write_private
from helixflow.settings import Settings

START_S = 120.0
_CPUS_MIN = 2
_TAIL_LINES = 15


def ray_program() -> list[str]:
    """The `ray` command of this Python environment."""
    return [str(Path(sys.executable).with_name("ray"))]


def head_arguments(settings: Settings, stack: Stack, cpus: int) -> list[str]:
    """The arguments of `ray start` for this stack.

    Args:
        cpus: cores of the machine. Ray schedules by this number and does not bind anything to
            cores; the platform and its demo model need two of them to be schedulable.
    """
    ports = stack.ports
    return [
        "start",
        "--head",
        "--node-ip-address=127.0.0.1",
        f"--port={ports.gcs}",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={ports.dashboard}",
        "--include-dashboard=true",
        f"--dashboard-agent-listen-port={ports.agent_http}",
        f"--dashboard-agent-grpc-port={ports.agent_grpc}",
        f"--runtime-env-agent-port={ports.runtime_env_agent}",
        f"--node-manager-port={ports.node_manager}",
        f"--object-manager-port={ports.object_manager}",
        f"--metrics-export-port={ports.ray_metrics}",
        # Workers take free ports from the system: there is no bound on how many there are.
        "--min-worker-port=0",
        "--max-worker-port=0",
        f"--temp-dir={stack.ray_temp}",
        f"--num-cpus={max(_CPUS_MIN, cpus)}",
        f"--object-store-memory={settings.stack.object_store_bytes}",
        "--disable-usage-stats",
        # There is no autoscaler on one machine, and no driver that worker logs are printed to.
        "--no-monitor",
        "--include-log-monitor=false",
        "--log-style=record",
    ]


def mint_token(stack: Stack) -> None:
    """A fresh secret for Ray's interfaces."""
    write_private(stack.token_file, secrets.token_hex(32))


def start_head(
    program: Sequence[str],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path,
    limit_s: float = START_S,
) -> None:
    """Run `ray start` and wait until it says that Ray runs.

    Raises CommandFailed where it fails or takes longer than `limit_s`.
    """
    try:
        done = subprocess.run(
            [*program, *arguments],
            env=dict(environment),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit_s,
            check=False,
            # Ray's processes must not get the Ctrl-C of the terminal that started them.
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"{program[0]} is not there; run `make install`") from error
    except subprocess.TimeoutExpired as error:
        tail = _tail(error.stdout or b"")
        raise CommandFailed(f"Ray did not start within {limit_s:g} s:\n{tail}") from error
    if done.returncode != 0:
        raise CommandFailed(f"Ray did not start:\n{_tail(done.stdout)}")


def _tail(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return "\n".join(lines[-_TAIL_LINES:])
