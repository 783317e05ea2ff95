"""A dashboard and a gateway in one process, and the `ray` command that starts them.

    python fake_platform.py start --dashboard-port=N --temp-dir=DIR ...    as `ray start`
    python fake_platform.py serve N                                        what that starts

FAKE_MODE chooses how it misbehaves: `no-start`, `refuse`, `broken`, `slow`, `stubborn`, `unmarked`.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "hx-test-key"
REAL, ECHO = "smollm2-135m-instruct", "echo-1"


class Platform:
    """What the servers know; a test may change it while they run."""

    def __init__(self, mode: str = "", *, opens_front: bool = False) -> None:
        self.mode = mode
        self.opens_front = opens_front and mode != "broken"
        self.deployed: dict[str, Any] | None = None
        self.status = "RUNNING"
        self.puts = 0
        self.deleted = False
        self.ready = True
        self.states = {REAL: "ready", ECHO: "ready"}
        self.words = ["Hello", ", ", "I am a model."]
        self.usage = True
        self.error_in_stream = False
        self.cut_stream = False
        self.asked: list[dict[str, Any]] = []
        self.limits: list[dict[str, Any]] = []

    def applications(self) -> dict[str, Any]:
        if self.deployed is None:
            return {"applications": {}}
        status = "DEPLOY_FAILED" if self.mode == "broken" else self.status
        replicas = [{"state": "RUNNING"}, {"state": "STARTING"}]
        deployments = {"Ingress": {"status": "HEALTHY", "message": "", "replicas": replicas}}
        app = {
            "status": status,
            "message": "Traceback: no such thing" if self.mode == "broken" else "",
            "route_prefix": "/",
            "deployments": {} if self.mode == "broken" else deployments,
        }
        return {"applications": {"helixflow": app}}

    def models(self) -> list[dict[str, Any]]:
        return [{"id": name, "owned_by": "helixflow"} for name in self.states]


class Handler(BaseHTTPRequestHandler):
    platform: Platform

    def log_message(self, *args: Any) -> None:
        """Quiet."""

    def body(self) -> Any:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        return json.loads(raw) if raw else None

    def answer(self, status: int, body: Any, kind: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Dashboard(Handler):
    def do_GET(self) -> None:
        if self.path == "/api/version":
            self.answer(200, {"version": "4"})
        elif self.platform.mode == "busy":
            self.answer(503, {"error": "controller is busy"})
        else:
            self.answer(200, self.platform.applications())

    def do_PUT(self) -> None:
        schema = self.body()
        if self.platform.mode == "refuse":
            self.answer(400, b"no module named deployments", "text/plain")
            return
        self.platform.puts += 1
        if self.platform.deployed is None and self.platform.opens_front:
            start(Gateway, self.platform, schema["http_options"]["port"])
        self.platform.deployed = schema
        self.answer(200, b"", "text/plain")

    def do_DELETE(self) -> None:
        self.platform.deleted = True
        self.answer(200, b"", "text/plain")


class Gateway(Handler):
    def allowed(self) -> bool:
        return self.headers.get("authorization") == f"Bearer {KEY}"

    def do_GET(self) -> None:
        platform = self.platform
        if self.path == "/readyz" and platform.mode == "slow":
            models = [{"id": REAL, "state": "loading", "detail": "reading", "progress": 0.5}]
            self.answer(503, {"ready": False, "waiting": [REAL], "models": models})
        elif self.path == "/readyz":
            models = [{"id": name, "state": state} for name, state in platform.states.items()]
            waiting = [] if platform.ready else ["Router"]
            body = {"ready": platform.ready, "waiting": waiting, "models": models}
            self.answer(200 if platform.ready else 503, body)
        elif self.path == "/v1/models" and self.allowed():
            self.answer(200, {"object": "list", "data": platform.models()})
        elif self.path == "/v1/limits" and self.allowed():
            self.answer(200, {"object": "list", "data": platform.limits})
        elif self.path in ("/v1/models", "/v1/limits"):
            self.answer(401, {"error": {"message": "no such key"}})
        else:
            self.answer(404, b"<html>", "text/html")

    def do_POST(self) -> None:
        request = self.body()
        self.platform.asked.append(request)
        if not self.allowed():
            self.answer(401, {"error": {"message": "no such key"}})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        if self.platform.cut_stream:
            self.send_header("content-length", "100000")
        self.end_headers()
        for word in self.platform.words:
            self.event({"choices": [{"delta": {"content": word}}]})
        if self.platform.error_in_stream:
            self.event({"error": {"message": "the engine died"}})
            return
        if self.platform.cut_stream:
            self.connection.close()
            return
        if self.platform.usage:
            self.event({"choices": [], "usage": {"completion_tokens": 7, "prompt_tokens": 3}})
        self.wfile.write(b"data: [DONE]\n\n")

    def event(self, value: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")
        self.wfile.flush()


def start(kind: type[Handler], platform: Platform, port: int = 0) -> ThreadingHTTPServer:
    """A server in a thread; its address is `server_address`."""
    handler = type(kind.__name__, (kind,), {"platform": platform})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def _ray_start(arguments: list[str]) -> None:
    options = dict(word.removeprefix("--").split("=", 1) for word in arguments if "=" in word)
    mode = os.environ.get("FAKE_MODE", "")
    if mode == "no-start":
        print("Ray says: no room")
        sys.exit(1)
    folder = Path(options["temp-dir"])
    logs = folder / "session_latest" / "logs" / "serve"
    logs.mkdir(parents=True)
    (logs / "replica_helixflow_Ingress_1.log").write_text("one\ntwo\n")
    environment = dict(os.environ)
    if mode == "unmarked":
        environment.pop("HELIXFLOW_STACK")
        environment["UNMARKED"] = "1"
    for name in ("gcs_server", "raylet"):
        # The system calls a process by the file that was executed.
        program = folder / name
        program.write_text(f"#!{sys.executable}\n" + Path(__file__).read_text())
        program.chmod(0o700)
        command = [str(program), "serve" if name == "raylet" else "wait"]
        subprocess.Popen(
            [*command, options["dashboard-port"]],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if (folder / "up").exists():
            return
        time.sleep(0.01)
    sys.exit("the fake raylet did not come up")


def _serve(port: int) -> None:
    mode = os.environ.get("FAKE_MODE", "")
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    start(Dashboard, Platform(mode, opens_front=True), port)
    (Path(sys.argv[0]).parent / "up").touch()
    _wait()


def _wait() -> None:
    # A fake that was forgotten ends by itself.
    threading.Event().wait(20 if "UNMARKED" not in os.environ else 2)


def ray_command() -> list[str]:
    """What stands in for `ray`."""
    return [shutil.which(sys.executable) or sys.executable, __file__]


if __name__ == "__main__":
    if sys.argv[1] == "start":
        _ray_start(sys.argv[2:])
    elif sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        _wait()
