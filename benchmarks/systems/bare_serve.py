"""The bare one-hop Serve app on a Ray head of its own.

Ray and HAProxy run with the very flags of HelixFlow's stack (`helixflow/cli/environment.py`: HAProxy
mode, throughput flags, one HAProxy thread, loopback, token authentication between Ray's parts);
only HelixFlow's request shield is left out, for it is part of what is measured.
"""

from __future__ import annotations

import http.client
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.scenarios.bodies import CHAT, chat_body
from benchmarks.settings import ROOT
from benchmarks.systems.loopback import HOST, free_ports
from benchmarks.systems.ports import Running, StartFailed, Steady
from benchmarks.systems.processes import Family
from benchmarks.systems.ready_answers import PROMPT
from deployments.haproxy import haproxy_binary, write_wrapper
from helixflow.cli.addresses import choose_ports
from helixflow.cli.environment import files_limit, process_environment, stack_environment
from helixflow.cli.failure import CommandFailed
from helixflow.cli.ray_head import head_arguments, mint_token, ray_program, start_head
from helixflow.cli.record import Stack
from helixflow.cli.serve_api import ServeApi
from helixflow.settings import Settings

_SHIELD = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
_MODULE = "benchmarks.systems.bare_serve_app"


class BareServe(Steady):
    """Implements `System`."""

    name = "serve"
    title = "bare one-hop Serve app"
    base = "serve"
    start_s = 14.0
    model = "echo-1"
    ready_limit_s = 120.0
    packages: tuple[str, ...] = ()
    """Folders that its processes look for packages in, beside the checkout."""

    def __init__(self) -> None:
        self.family = Family()
        self._temp: Path | None = None

    def start(self, folder: Path) -> Running:
        begin = time.monotonic()
        # Unix sockets lie in it, and their paths end at 107 bytes.
        self._temp = Path(tempfile.mkdtemp(prefix="hxb-"))
        port = free_ports(1)[0]
        settings = Settings.of({"home": str(folder), "http": {"port": port}})
        stack = Stack(
            id=self.family.mark, home=str(folder), temp=str(self._temp), host=HOST,
            ports=choose_ports(port), config="",
        )  # fmt: skip
        stack.proxy_folder.mkdir(mode=0o700)
        environment = self._environment(settings, stack)
        try:
            mint_token(stack)
            arguments = head_arguments(settings, stack, os.cpu_count() or 2)
            start_head(ray_program(), arguments, environment, ROOT)
            api = ServeApi(stack.dashboard_url, stack.token_file.read_text().strip())
            self._until(api.alive, "Ray's dashboard does not answer")
            api.deploy(_schema(port, self.applications()))
        except CommandFailed as error:
            raise StartFailed(" ".join(str(error).split())[:300]) from error
        self._until(lambda: _answers(port, self.model), "the app does not answer")
        facts = {"ray_flags": _flags(environment), "authentication": False}
        return Running(HOST, port, time.monotonic() - begin, facts=facts)

    def stop(self) -> None:
        # Nothing of it is worth waiting for: Ray's processes take their time when asked politely.
        self.family.end(grace_s=2.0)
        if self._temp is not None:
            shutil.rmtree(self._temp, ignore_errors=True)

    def applications(self) -> list[dict[str, Any]]:
        """What Serve is to run, as its configuration says it."""
        sides = (("floor-model", None, "build_model"), ("floor", "/", "build_front"))
        return [
            {"name": name, "route_prefix": route, "import_path": f"{_MODULE}:{builder}"}
            for name, route, builder in sides
        ]

    def python_path(self) -> str:
        """Where its processes look for modules."""
        return os.pathsep.join((str(ROOT), *self.packages))

    def _until(self, check: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self.ready_limit_s
        while not check():
            if time.monotonic() > deadline:
                raise StartFailed(f"{what} within {self.ready_limit_s:g} s")
            time.sleep(0.1)

    def _environment(self, settings: Settings, stack: Stack) -> dict[str, str]:
        wrapper = write_wrapper(Path(stack.temp) / "bin", haproxy_binary())
        own = stack_environment(settings, stack, str(wrapper), files_limit())
        own.pop(_SHIELD, None)
        base = process_environment({**own, "PYTHONPATH": self.python_path()}, os.environ)
        return self.family.environment({}, base)


def _schema(port: int, applications: list[dict[str, Any]]) -> dict[str, object]:
    logging = {"enable_access_log": False}
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": HOST, "port": port},
        "logging_config": logging,
        "applications": [{**each, "logging_config": logging} for each in applications],
    }


def _answers(port: int, model: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        body = chat_body(model, PROMPT, 16, stream=False)
        connection.request("POST", CHAT, body, {"content-type": "application/json"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _flags(environment: Mapping[str, str]) -> dict[str, str]:
    """Serve's flags, without the paths and ports among them."""
    return {
        name: value
        for name, value in sorted(environment.items())
        if name.startswith("RAY_SERVE_") and "/" not in value and "_PORT" not in name
    }
