from __future__ import annotations

from pathlib import Path

import pytest

from helixflow.cli.environment import (
    caller_environment,
    files_limit,
    process_environment,
    stack_environment,
)
from helixflow.cli.ray_hook import trim
from helixflow.cli.record import MARKER, Stack
from helixflow.settings import Settings


def environment(of: Stack, files_max: int = 100_000, **sections: object) -> dict[str, str]:
    return stack_environment(Settings.of(dict(sections)), of, "/bin/wrapper", files_max)


def test_every_process_carries_the_stacks_mark_even_if_it_renames_itself(stack: Stack) -> None:
    assert environment(stack)[MARKER] == "abc"
    assert environment(stack)["SPT_NOENV"] == "1"


def test_rays_interfaces_want_a_token_and_stay_on_loopback(stack: Stack) -> None:
    made = environment(stack)
    assert made["RAY_AUTH_MODE"] == "token"
    assert made["RAY_AUTH_TOKEN_PATH"] == str(stack.token_file)
    assert made["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


def test_every_file_and_port_of_the_proxy_belongs_to_the_stack(stack: Stack) -> None:
    made = environment(stack)
    paths = {name: value for name, value in made.items() if name.startswith("RAY_SERVE_HAPROXY")}
    for name in ("CONFIG_FILE_LOC", "SOCKET_PATH", "SERVER_STATE_FILE", "METRICS_SOCKET_PATH"):
        assert paths[f"RAY_SERVE_HAPROXY_{name}"].startswith(stack.temp)
    ports = [value for name, value in made.items() if name.endswith("_PORT")]
    assert len(ports) >= 8
    assert all(21_000 <= int(port) < 21_500 for port in ports)


@pytest.mark.parametrize(("files_max", "connections"), [(1_048_576, 20_000), (20_000, 7897)])
def test_the_proxy_never_wants_more_files_than_it_may_open(
    stack: Stack, files_max: int, connections: int
) -> None:
    assert environment(stack, files_max)["RAY_SERVE_HAPROXY_MAXCONN"] == str(connections)


def test_a_body_at_the_limit_fits_between_replicas(stack: Stack) -> None:
    made = environment(stack, http={"body_bytes_max": 100 * 1024 * 1024})
    limit = int(made["RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH"])
    assert limit >= 100 * 1024 * 1024


def test_an_old_proxy_lives_longer_than_the_longest_request(stack: Stack) -> None:
    made = environment(stack, gateway={"request_s": 7200.5})
    assert int(made["RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"]) > 7200


def test_a_stack_without_drain_time_waits_for_nothing(stack: Stack) -> None:
    made = environment(stack, stack={"drain_s": 0})
    assert made["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] == "0"


def test_what_the_shell_holds_for_another_stack_is_not_passed_on() -> None:
    caller = {
        "PATH": "/bin",
        "RAY_ADDRESS": "elsewhere",
        "HELIXFLOW__HTTP__PORT": "1",
        "HELIXFLOW_MASTER_KEY_FILE": "/key",
        "OPENAI_API_KEY": "other",  # pragma: allowlist secret
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    made = process_environment({"A": "b"}, caller)
    assert made == {"PATH": "/bin", "HELIXFLOW_MASTER_KEY_FILE": "/key", "A": "b"}


def test_this_pythons_programs_come_first_on_the_path() -> None:
    first = caller_environment()["PATH"].split(":")[0]
    assert (Path(first) / "python").exists()


def test_there_is_a_limit_of_open_files() -> None:
    assert files_limit() >= 256


class Parameters:
    ray_client_server_port: int | None = 10_001


@pytest.mark.parametrize(("head", "port"), [(True, None), (False, 10_001)])
def test_rays_head_starts_without_ray_client(head: bool, port: int | None) -> None:
    parameters = Parameters()
    trim(parameters, head)
    assert parameters.ray_client_server_port == port
