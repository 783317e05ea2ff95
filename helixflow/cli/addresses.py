"""Which ports a stack uses.

All but the public one lie in one block of 500, so that two stacks never meet, not even through a
port that one of them gives up and the other takes. Blocks end below 32768, where Linux begins to
hand out ports to outgoing connections.
"""

from __future__ import annotations

import contextlib
import random
import socket
from dataclasses import dataclass

import psutil

from helixflow.cli.failure import PortTaken

BLOCK_SIZE = 500
_BLOCKS = range(20_000, 32_000, BLOCK_SIZE)
_REPLICAS_OFFSET = 100
_SINGLE = 13
"""Ports at the start of a block that belong to one purpose each."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack.

    Attributes:
        http: the public one, HAProxy's front.
        block: the first port of the stack's block; all others are counted from it.
    """

    http: int
    block: int

    @property
    def gcs(self) -> int:
        """Ray's head address."""
        return self.block

    @property
    def dashboard(self) -> int:
        """Ray's dashboard and its REST interface."""
        return self.block + 1

    @property
    def agent_http(self) -> int:
        return self.block + 2

    @property
    def agent_grpc(self) -> int:
        return self.block + 3

    @property
    def runtime_env_agent(self) -> int:
        return self.block + 4

    @property
    def node_manager(self) -> int:
        return self.block + 5

    @property
    def object_manager(self) -> int:
        return self.block + 6

    @property
    def ray_metrics(self) -> int:
        return self.block + 7

    @property
    def proxy_metrics(self) -> int:
        """HAProxy's own metrics."""
        return self.block + 8

    @property
    def proxy_stats(self) -> int:
        """HAProxy's statistics page."""
        return self.block + 9

    @property
    def fallback_http(self) -> int:
        """Serve's Python proxy, which HAProxy falls back on while no Ingress runs."""
        return self.block + 10

    @property
    def fallback_grpc(self) -> int:
        return self.block + 11

    @property
    def dashboard_metrics(self) -> int:
        return self.block + 12

    def by_name(self) -> dict[str, int]:
        """Every port that belongs to one purpose, for the record."""
        return {
            "http": self.http,
            "gcs": self.gcs,
            "dashboard": self.dashboard,
            "dashboard_agent_http": self.agent_http,
            "dashboard_agent_grpc": self.agent_grpc,
            "runtime_env_agent": self.runtime_env_agent,
            "node_manager": self.node_manager,
            "object_manager": self.object_manager,
            "metrics_export": self.ray_metrics,
            "haproxy_metrics": self.proxy_metrics,
            "haproxy_stats": self.proxy_stats,
            "fallback_http": self.fallback_http,
            "fallback_grpc": self.fallback_grpc,
            "dashboard_metrics": self.dashboard_metrics,
        }

    @property
    def replicas_http(self) -> tuple[int, int]:
        """First and last port of the ingress replicas' own servers."""
        return self.block + _REPLICAS_OFFSET, self.block + 299

    @property
    def replicas_grpc(self) -> tuple[int, int]:
        return self.block + 300, self.block + BLOCK_SIZE - 1


def choose_ports(http: int, rng: random.Random | None = None) -> Ports:
    """Ports for another stack: the public one as asked, the rest from a block that is free.

    Raises PortTaken where every block is in use.
    """
    blocks = list(_BLOCKS)
    (rng or random.SystemRandom()).shuffle(blocks)
    for block in blocks:
        probes = (*range(block, block + _SINGLE), block + _REPLICAS_OFFSET, block + 300)
        if all(is_free("127.0.0.1", port) for port in probes):
            return Ports(http, block)
    raise PortTaken(
        f"no free block of {BLOCK_SIZE} ports between {_BLOCKS.start} and {_BLOCKS.stop};"
        " stop a stack that is not needed (helixflow down)"
    )


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there right now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections that are only closing (TIME_WAIT) do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def require_free(host: str, port: int) -> None:
    """Raises PortTaken that names who has the port, as far as this user may know, and the mend."""
    if not is_free(host, port):
        raise PortTaken(
            f"port {port} on {host} is in use{_holder(port)}; stop that, or choose another port"
            " with --port (or http.port in the configuration)"
        )


def _holder(port: int) -> str:
    # Another user's sockets have no pid, and some systems let only root look at all.
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            _, used = connection.laddr or ("", 0)
            listens = connection.status == psutil.CONN_LISTEN and used == port
            if listens and connection.pid is not None:
                name = psutil.Process(connection.pid).name()
                return f" by {name} (pid {connection.pid})"
    return ""
