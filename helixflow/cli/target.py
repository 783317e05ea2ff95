"""Which platform a command talks to, and with which key.

An address or key given on the command line wins; then what the home folder's `env` file says; then
the caller's environment (HELIXFLOW_BASE_URL, OPENAI_API_KEY, HELIXFLOW_ADMIN_KEY).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from helixflow.cli.failure import NotRunning
from helixflow.cli.gateway_api import GatewayApi
from helixflow.storage.env_file import EnvFile

KEY_VARIABLE = "OPENAI_API_KEY"
ADMIN_KEY_VARIABLE = "HELIXFLOW_ADMIN_KEY"

DEFAULT_HOME = ".helixflow"
ENV_FILE = "env"
"""The file in the home folder that a shell sources; storage/prepare.py puts the key there."""

RAY_ENV_FILE = "ray.env"
"""The file that lets another program on this machine reach the stack's Ray."""


@dataclass(frozen=True, slots=True)
class Target:
    """A platform: its address without `/v1`, and a key, which may be empty."""

    base_url: str
    key: str

    def api(self, timeout_s: float = 10.0) -> GatewayApi:
        return GatewayApi(self.base_url, self.key, timeout_s)


def env_file(home: Path) -> EnvFile:
    """`OPENAI_BASE_URL`, `OPENAI_API_KEY`, `HELIXFLOW_ADMIN_KEY` and `HELIXFLOW_BASE_URL`.

    Readable by the owner alone.
    """
    return EnvFile(home / ENV_FILE)


def home_folder(option: Path | None, environ: Mapping[str, str]) -> Path:
    """The home folder: the option, else HELIXFLOW__HOME, else `.helixflow` here; absolute."""
    return (option or Path(environ.get("HELIXFLOW__HOME", DEFAULT_HOME))).absolute()


def find_target(
    home: Path,
    environ: Mapping[str, str],
    base_url: str | None = None,
    key: str | None = None,
    variable: str = KEY_VARIABLE,
) -> Target:
    """Raises NotRunning where nobody says where the platform is; `variable` names the key."""
    known = env_file(home).read()
    address = base_url or known.get("HELIXFLOW_BASE_URL") or environ.get("HELIXFLOW_BASE_URL") or ""
    if not address:
        raise NotRunning(f"no platform is known in {home}; start one with `helixflow up`")
    secret = key or known.get(variable) or environ.get(variable) or ""
    return Target(address.rstrip("/").removesuffix("/v1"), secret)


def find_admin_target(
    home: Path, environ: Mapping[str, str], base_url: str | None = None
) -> Target:
    """The platform with an admin key. The home's own key goes to the home's own platform alone:
    any other address gets the one of the caller's environment.
    """
    target = find_target(home, environ, base_url, variable=ADMIN_KEY_VARIABLE)
    own = env_file(home).read().get("HELIXFLOW_BASE_URL", "").rstrip("/")
    if target.base_url == own:
        return target
    return replace(target, key=environ.get(ADMIN_KEY_VARIABLE, ""))
