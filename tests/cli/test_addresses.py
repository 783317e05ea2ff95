from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from helixflow.cli.addresses import BLOCK_SIZE, Ports, choose_ports, is_free, require_free
from helixflow.cli.failure import PortTaken


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_something_listens_on_is_not_free(taken: int) -> None:
    assert not is_free("127.0.0.1", taken)


def test_a_port_that_was_given_back_is_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    assert is_free("127.0.0.1", port)
    assert is_free("::1", port) or not socket.has_ipv6


def test_a_taken_port_is_an_error_that_names_its_holder_and_the_mend(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"port {taken} .*\(pid \d+\).*--port"):
        require_free("127.0.0.1", taken)


def test_an_address_that_is_not_ours_names_no_holder() -> None:
    with pytest.raises(PortTaken, match="is in use; stop that"):
        require_free("198.51.100.1", 1)


def test_two_stacks_get_different_blocks_when_the_first_one_runs() -> None:
    first = choose_ports(8000, random.Random(1))
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", first.gcs))
        listener.listen()
        assert choose_ports(8001, random.Random(1)).block != first.block


def test_all_blocks_in_use_is_an_error() -> None:
    class NoneFree(random.Random):
        def shuffle(self, x: list[int]) -> None:  # type: ignore[override]
            x.clear()

    with pytest.raises(PortTaken, match="no free block"):
        choose_ports(8000, NoneFree())


def test_no_port_of_a_stack_belongs_to_two_purposes() -> None:
    ports = Ports(8000, 21_000)
    single = list(ports.by_name().values())
    assert len(set(single)) == len(single)
    last = [max(single), *ports.replicas_http, *ports.replicas_grpc]
    assert sorted(last) == last
    assert ports.replicas_grpc[1] < 21_000 + BLOCK_SIZE
