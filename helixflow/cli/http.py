"""Plain HTTP for the command line: no library, so that it starts fast.

Failure behavior: whatever goes wrong below HTTP (refused, reset, too slow) is `Unreachable`; an
answer, whatever its status, is returned.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from helixflow.cli.failure import CommandFailed


class Unreachable(CommandFailed):
    """Nothing answered at an address."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; the names of `headers` are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body as JSON, or None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Client:
    """Sends requests to one server.

    Args:
        base_url: `http://host:port` or https, with or without a path in front.
        token: sent as a bearer token; empty means none.
        timeout_s: for connecting and for each read.
    """

    def __init__(self, base_url: str, token: str = "", timeout_s: float = 10.0) -> None:
        self._url = urlsplit(base_url)
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._timeout_s = timeout_s
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise CommandFailed(f"{base_url!r} is not an address like http://127.0.0.1:8000")

    def request(
        self, method: str, path: str, body: object = None, timeout_s: float | None = None
    ) -> Answer:
        """Send `body` as JSON and read the whole answer."""
        with self.open(method, path, body, timeout_s) as response:
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, _read(response), told)

    @contextmanager
    def open(
        self, method: str, path: str, body: object = None, timeout_s: float | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request; the answer can be read while it comes (`chunks`)."""
        host, port = self._url.hostname or "", self._url.port
        seconds = timeout_s or self._timeout_s
        connection = (
            http.client.HTTPSConnection(host, port, timeout=seconds)
            if self._url.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=seconds)
        )
        headers = dict(self._headers)
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["content-type"] = "application/json"
        try:
            try:
                connection.request(method, self._url.path.rstrip("/") + path, data, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(f"{host}:{port}: {_reason(error)}") from error
            with response:  # which outlives its connection where it was not read to its end
                yield response
        finally:
            connection.close()


def chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it arrives."""
    while data := _read(response, 65_536):
        yield data


def _read(response: http.client.HTTPResponse, at_most: int | None = None) -> bytes:
    try:
        return response.read() if at_most is None else response.read1(at_most)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the answer broke off: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def require_ok(answer: Answer) -> None:
    """Raise what the platform said, in its own words, unless it said yes."""
    if 200 <= answer.status < 300:
        return
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        said = str(error.get("message") or error)
        if param := error.get("param"):
            said = f"{param}: {said}"
    elif isinstance(error, str):  # OAuth's form (RFC 6749, 5.2)
        said = f"{error}: {body.get('error_description') or 'no more is said'}"
    else:
        said = answer.body.decode("utf-8", "replace")[:300]
    if wait_s := answer.headers.get("retry-after"):
        said = f"{said} Try again in {wait_s} s."
    raise CommandFailed(f"the platform answered {answer.status}: {said}")
