from __future__ import annotations

import socket
from http.server import ThreadingHTTPServer

import pytest

from helixflow.cli.failure import CommandFailed
from helixflow.cli.http import Answer, Client, Unreachable

from .fake_platform import KEY, url


def test_the_token_is_sent_and_the_answer_read(gateway: ThreadingHTTPServer) -> None:
    answer = Client(url(gateway), KEY).request("GET", "/v1/models")
    assert answer.status == 200
    assert answer.json()["object"] == "list"


def test_a_base_url_with_a_path_keeps_it(gateway: ThreadingHTTPServer) -> None:
    assert Client(url(gateway) + "/v1/", KEY).request("GET", "/models").status == 200


def test_an_answer_that_is_no_json_has_none() -> None:
    assert Answer(200, b"<html>").json() is None


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://host", "http://"])
def test_an_address_that_is_none_is_an_error_that_shows_one(address: str) -> None:
    with pytest.raises(CommandFailed, match=r"http://127\.0\.0\.1:8000"):
        Client(address)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nobody_at_an_address_is_unreachable(scheme: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(Unreachable, match=str(port)):
        Client(f"{scheme}://127.0.0.1:{port}").request("GET", "/")
