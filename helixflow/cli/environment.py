"""The environment that every process of a stack starts with, each line with its reason.

Ray Serve reads its flags when a process imports it, so they are set before Ray's head starts and
every process inherits them. Names and defaults: ray/serve/_private/constants.py of Ray 2.60.
"""

from __future__ import annotations

import math
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path

from helixflow.cli.record import MARKER, Stack
from helixflow.settings import Settings

_CONNECTIONS_MAX = 20_000
_FILES_SPARE = 256
_PROXY_NOTICES_S = 2.0

# Whatever the caller's shell holds of these belongs to another stack, or is in `Settings` already.
_FOREIGN = ("HELIXFLOW__", "HELIXFLOW_STACK", "RAY_", "OPENAI_", "PYTHONDONTWRITEBYTECODE")


def stack_environment(
    settings: Settings, stack: Stack, wrapper: str, files_max: int, source_header: str = ""
) -> dict[str, str]:
    """What is set for the processes of this stack.

    Args:
        wrapper: the program that Serve starts as HAProxy (deployments/haproxy.py).
        files_max: how many files a process may open (`files_limit`).
        source_header: where that HAProxy writes a client's address; empty where it does not.
    """
    return {
        # How `down` recognizes what is ours; the libraries that rename processes leave it alone.
        MARKER: stack.id,
        "SPT_NOENV": "1",
        **_ray(stack),
        **_serve(settings),
        **_proxy(settings, stack, wrapper, files_max),
        # By this name the shield knows what our own proxy wrote.
        "HELIXFLOW_SHIELD_SOURCE_HEADER": source_header,
    }


def _ray(stack: Stack) -> dict[str, str]:
    return {
        **stack.ray_environment,
        # One machine needs neither Ray Client's door nor the processes behind it.
        "RAY_START_HOOK": "helixflow.cli.ray_hook.trim",
        # Fixed in Ray otherwise, so that two stacks would meet.
        "DASHBOARD_METRIC_PORT": str(stack.ports.dashboard_metrics),
        # Ray makes its workers nice by default, and then every other program starves the platform.
        "RAY_worker_niceness": "0",
        # Nothing is reported to anybody.
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def _serve(settings: Settings) -> dict[str, str]:
    drain_s = min(_PROXY_NOTICES_S, settings.stack.drain_s)
    return {
        # HAProxy takes the clients and talks to the Ingress replicas directly: 16 times the
        # requests of Serve's Python proxy, and no copy of the stream in another process.
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        # User code, router and server share one event loop; no access log on standard error.
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        # It would also keep 1,000 log records back; ours are few and wanted at once.
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
        # The throughput flag does not turn this on everywhere: it is computed before.
        "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1",
        # Serve reads steering headers and buffers bodies before our application runs.
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "helixflow.gateway.http.shield:middlewares",
        # What the shield refuses by size; it stands before the settings are read.
        "HELIXFLOW_SHIELD_BODY_BYTES_MAX": str(settings.http.body_bytes_max),
        # Nobody in front of us is trusted to say who a client is.
        "FORWARDED_ALLOW_IPS": "",
        # Prompts and images travel between replicas; the default of 4 MiB is less than a body.
        "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": str(
            max(64 * 1024 * 1024, 2 * settings.http.body_bytes_max)
        ),
        # After this long a handle asks replicas for their queue length by a slow actor call.
        "RAY_SERVE_QUEUE_LENGTH_CACHE_TIMEOUT_S": "120",
        # Counters are flushed once a second instead of ten times.
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": "1000",
        # The controller looks at nodes and replicas ten times a second by default, which takes the
        # engine's cores for nothing; a lost replica is noticed a fraction of a second later.
        "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.3",
        # Metric labels that never expire fill the memory of Ray's agent.
        "RAY_SERVE_CONTROLLER_METRICS_INCLUDE_HIGH_CARDINALITY_TAGS": "0",
        "RAY_SERVE_COMPACT_LONG_POLL_METRIC_TAGS": "1",
        # The least time that a leaving Ingress replica stays reachable: enough for the proxy to
        # notice. How long it may finish its requests is its own drain time.
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": f"{drain_s:g}",
    }


def _proxy(settings: Settings, stack: Stack, wrapper: str, files_max: int) -> dict[str, str]:
    ports, folder = stack.ports, stack.proxy_folder
    # Files per connection: the client's side, the replica's, and for every fourth one a pipe to
    # splice through. HAProxy refuses to start with more than the machine lets it open.
    connections = max(256, min(_CONNECTIONS_MAX, int((files_max - _FILES_SPARE) / 2.5)))
    # An old HAProxy keeps its open streams after each change of the Ingress replicas, and is ended
    # after this; the longest request must fit.
    hard_stop_s = max(3600, math.ceil(settings.gateway.request_s) + 60)
    return {
        # Closes the statistics and metrics pages to everybody else.
        "RAY_SERVE_HAPROXY_BINARY_PATH": wrapper,
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "server-state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(ports.proxy_metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(ports.proxy_stats),
        # Nobody listens there: the Ingress logs requests, and knows whose they are.
        "RAY_SERVE_HAPROXY_LOG_TARGET": str(folder / "log.sock"),
        # A log line per request, which a Python process would parse; the Ingress counts itself.
        "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
        "RAY_SERVE_HAPROXY_MAXCONN": str(connections),
        # One thread carries many thousand requests per second; more take cores from the engine.
        "RAY_SERVE_HAPROXY_NBTHREAD": "1",
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": str(hard_stop_s),
        # Idle connections of an old HAProxy are closed little by little.
        "RAY_SERVE_HAPROXY_CLOSE_SPREAD_TIME_S": "30",
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(ports.fallback_http),
        "RAY_SERVE_FALLBACK_PROXY_GRPC_PORT": str(ports.fallback_grpc),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(ports.replicas_http[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(ports.replicas_http[1]),
        "RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT": str(ports.replicas_grpc[0]),
        "RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT": str(ports.replicas_grpc[1]),
    }


def process_environment(own: Mapping[str, str], caller: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the stack's processes: the caller's, less what is not for them."""
    kept = {name: value for name, value in caller.items() if not name.startswith(_FOREIGN)}
    return {**kept, **own}


def files_limit() -> int:
    """How many files a process of this user may open at most."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_048_576 if hard == resource.RLIM_INFINITY else hard


def caller_environment() -> Mapping[str, str]:
    """This process's environment, with this Python's programs first on the path."""
    bin_folder = str(Path(sys.executable).parent)
    return {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}"}
