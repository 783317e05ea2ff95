"""What a running stack listens on, and as whom."""

from __future__ import annotations

import ipaddress

import psutil
import pytest

from .conftest import Stack

pytestmark = pytest.mark.stack

# Ray binds the gRPC servers of these on every address; the token of the stack protects them.
RAY_GRPC = ("gcs_server", "raylet", "ray::", "python", "dashboard", "default_worker.py")


def listeners(stack: Stack) -> list[tuple[str, int, str]]:
    found = []
    for process in stack.processes(""):
        try:
            words = " ".join(process.cmdline())
            found += [
                (connection.laddr.ip, connection.laddr.port, words)
                for connection in process.net_connections("inet")
                if connection.status == psutil.CONN_LISTEN
            ]
        except psutil.Error:
            continue
    return found


def test_haproxy_listens_on_loopback_only(stack: Stack) -> None:
    proxies = [(ip, port) for ip, port, words in listeners(stack) if "haproxy" in words.split()[0]]
    assert {port for _, port in proxies} >= {stack.port}
    assert len(proxies) >= 2
    assert all(ipaddress.ip_address(ip).is_loopback for ip, _ in proxies), proxies


def test_model_replicas_open_no_http_port(stack: Stack) -> None:
    ports = [
        (ip, port)
        for ip, port, words in listeners(stack)
        if "ServeReplica:model-" in words and 30_000 <= port < 31_000
    ]
    assert ports == []


def test_what_binds_every_address_is_rays_own_grpc(stack: Stack) -> None:
    for ip, port, words in listeners(stack):
        if not ipaddress.ip_address(ip).is_loopback:
            assert any(name in words for name in RAY_GRPC), (ip, port, words)


def test_http_servers_that_are_not_on_loopback_do_not_exist(stack: Stack) -> None:
    http = {stack.port, *stack.record["ports"].values()}
    open_to_all = {
        port for ip, port, _ in listeners(stack) if not ipaddress.ip_address(ip).is_loopback
    }
    named = {name for name, port in stack.record["ports"].items() if port in open_to_all & http}
    assert named <= {"gcs", "ray_client", "node_manager", "object_manager", "metrics_export",
                     "dashboard_agent_grpc", "runtime_env_agent"}  # fmt: skip


def test_replicas_are_called_at_doors_that_are_their_users_alone(stack: Stack) -> None:
    client = stack.client()
    client.chat.completions.create(model="echo-1", messages=[{"role": "user", "content": "a"}])
    [machine] = (stack.home / "run" / "direct").iterdir()
    doors = {door for model in machine.iterdir() for door in model.iterdir()}
    assert {model.stat().st_mode & 0o077 for model in machine.iterdir()} == {0}
    assert all(door.is_socket() for door in doors)
    assert len(doors) >= 3  # one for each replica that is ready
    visited = {
        connection.laddr.rpartition("/.")[2]
        for process in stack.processes("ServeReplica:model-")
        for connection in process.net_connections("unix")
        if "/." in connection.laddr and connection.status == psutil.CONN_NONE
    }
    assert {door.name for door in doors} <= visited
