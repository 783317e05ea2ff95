"""One real stack for the whole run: Ray, Serve, HAProxy, vLLM and SmolLM2, as a user starts it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from helixflow.errors import Refused
from tests.conftest import RUN_FOLDER
from tests.telemetry.traces.receivers import Received, http_receiver

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("stack.yaml")
MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True)
class Stack:
    """A running platform, as its user knows it."""

    home: Path
    port: int
    api_key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.home / "stack.json").read_text())

    def client(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.api_key, **options)

    def processes(self, word: str) -> list[psutil.Process]:
        """The stack's own processes whose command line holds a word."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("HELIXFLOW_STACK") == self.record["stack"]
                if ours and word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def cli(self, *words: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run the command line against this stack."""
        return run_cli(self.home, *words, timeout_s=timeout_s)


# What every command against the stack must know, or it would be another configuration.
_SETTINGS = {
    # Converted models are kept in the checkout: converting takes longer than all else here.
    "HELIXFLOW__ENGINE__MODELS_DIR": str(ROOT / ".helixflow" / "models"),
}


def run_cli(home: Path, *words: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("helixflow")
    return subprocess.run(
        [str(program), *words, "--home", str(home)],
        cwd=ROOT,
        env=_SETTINGS | os.environ,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def read_env(home: Path) -> dict[str, str]:
    lines = (home / "env").read_text().splitlines()
    pairs = [line.removeprefix("export ").split("=", 1) for line in lines if "=" in line]
    return {name: value.strip("'\"") for name, value in pairs}


@pytest.fixture(scope="session")
def received() -> Iterator[Received]:
    """A real receiver of traces, which the stack exports to."""
    with http_receiver() as received:
        yield received


@pytest.fixture(scope="session")
def stack(received: Received) -> Iterator[Stack]:
    if running := os.environ.get("HELIXFLOW_TEST_STACK"):
        # The home of a stack that was started by hand from stack.yaml: for quick rounds.
        home = Path(running)
        yield Stack(home, _port(home), read_env(home)["OPENAI_API_KEY"])
        return
    home, port = Path(os.environ[RUN_FOLDER], "stack"), free_port()
    if home.exists():
        pytest.fail("this run has its stack already: several workers need `--dist loadgroup`")
    _SETTINGS["HELIXFLOW__TELEMETRY__TRACES__ENDPOINT"] = received.endpoint
    done = run_cli(home, "up", "--config", str(CONFIG), "--port", str(port), timeout_s=300)
    try:
        if done.returncode != 0:
            logs = run_cli(home, "logs", "--lines", "60", timeout_s=30)
            pytest.fail(f"the stack did not start:\n{done.stdout}\n{done.stderr}\n{logs.stdout}")
        yield Stack(home, port, read_env(home)["OPENAI_API_KEY"])
    finally:
        run_cli(home, "down", timeout_s=120)


def _port(home: Path) -> int:
    return int(json.loads((home / "stack.json").read_text())["ports"]["http"])


@pytest.fixture(scope="session")
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with stack.client() as client:
        yield client


class Wire:
    """A plain socket to the front door, for requests that no client library would send."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    async def send(self, raw: bytes, *, timeout_s: float = 30.0) -> tuple[int, dict[str, str], Any]:
        """Send raw bytes; the answer's status, headers and JSON body (or text)."""
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._stack.port)
            try:
                writer.write(raw)
                await writer.drain()
                return await read_answer(reader)
            finally:
                writer.close()

    async def post(
        self, path: str, body: bytes, *extra: str, key: str | None = ""
    ) -> tuple[int, dict[str, str], Any]:
        """POST a body; `key` None sends no credential, empty sends the stack's own."""
        lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}", *extra]
        lines += ["content-type: application/json", "connection: close"]
        if key is not None:
            lines.append(f"authorization: Bearer {key or self._stack.api_key}")
        return await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.strip().split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest)}
    if "chunked" in headers.get("transfer-encoding", ""):
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        parsed = body.decode("utf-8", "replace")
    return int(first.split()[1]), headers, parsed


@pytest.fixture
def wire(stack: Stack) -> Wire:
    return Wire(stack)


class Probe:
    """The Ray program of probe.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def _command(self, **command: Any) -> dict[str, Any]:
        async with self._lock, asyncio.timeout(60):
            return await asyncio.to_thread(self._exchange, json.dumps(command))

    def _exchange(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    async def ask(self, **command: Any) -> Any:
        answer = await self._command(**command)
        assert "ok" in answer, answer
        return answer["ok"]

    async def refusal(self, **command: Any) -> Refused:
        """What the program caught, with all its facts."""
        answer = await self._command(**command)
        refused = Refused.from_wire(answer["refused"])
        assert type(refused).__name__ == answer["class"]
        return refused


@pytest.fixture(scope="session")
def probe_process(stack: Stack) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("probe.py")), stack.record["ray_address"]],
        env={**os.environ, **stack.record["ray_environment"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == "ready"
    yield process
    process.stdin.close()  # type: ignore[union-attr]
    process.wait(timeout=30)
    process.stdout.close()


@pytest.fixture
def probe(probe_process: subprocess.Popen[str]) -> Probe:
    return Probe(probe_process)
