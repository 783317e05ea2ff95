from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from helixflow.identity.fetch import fetch


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/good")
            self.end_headers()
        elif self.path == "/silent":
            self.server.gate.wait()  # type: ignore[attr-defined]
        elif self.path == "/nonsense":
            self.wfile.write(b"nonsense\r\n\r\n")
        else:
            self.send_response(200 if self.path == "/good" else 500)
            self.end_headers()
            self.wfile.write(b"x" * 100)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.gate = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.gate.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


async def test_a_document_is_read_whole(url: str) -> None:
    assert await fetch(url + "/good") == b"x" * 100
    assert await fetch(url + "/good", bytes_max=100) == b"x" * 100


@pytest.mark.parametrize("path", ["/moved", "/broken", "/nonsense"])
async def test_anything_but_a_good_answer_is_an_error(url: str, path: str) -> None:
    with pytest.raises(OSError):
        await fetch(url + path)


async def test_a_large_answer_is_not_taken(url: str) -> None:
    with pytest.raises(OSError, match="larger"):
        await fetch(url + "/good", bytes_max=99)


async def test_a_server_that_is_silent_is_given_up(url: str) -> None:
    with pytest.raises(OSError):
        await fetch(url + "/silent", timeout_s=0.05)


@pytest.mark.parametrize(
    "bad", ["http://192.0.2.1/x", "file:///etc/passwd", "ftp://localhost/", "nonsense", "https://["]
)
async def test_only_https_is_spoken_beyond_this_machine(bad: str) -> None:
    with pytest.raises(OSError):
        await fetch(bad)
