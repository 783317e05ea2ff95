"""Reading a small document from a web server, with a bound on everything.

Failure behavior: anything but a whole answer with status 200 in time raises `OSError`. Redirects
are not followed, answers over `bytes_max` are not read on, and only https is spoken (http too with
the machine itself).
"""

from __future__ import annotations

import asyncio
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import IO, NoReturn
from urllib.error import HTTPError
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> NoReturn:
        raise HTTPError(req.full_url, code, "redirects are not followed", headers, fp)


# Proxies of the environment are left out: they would see, and could change, what we trust.
_opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


async def fetch(url: str, timeout_s: float = 5.0, bytes_max: int = 262_144) -> bytes:
    """The body of a document."""
    try:
        parts = urlsplit(url)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise OSError("only https is spoken")
        async with asyncio.timeout(timeout_s):
            return await asyncio.to_thread(_read, url, timeout_s, bytes_max)
    except (HTTPException, ValueError) as error:
        raise OSError(f"not an answer: {type(error).__name__}") from error


def _read(url: str, timeout_s: float, bytes_max: int) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310
    with _opener.open(request, timeout=timeout_s) as answer:
        body: bytes = answer.read(bytes_max + 1)
    if len(body) > bytes_max:
        raise OSError(f"the answer is larger than {bytes_max} bytes")
    return body
