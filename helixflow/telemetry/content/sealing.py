"""How content is cut, sealed and opened. Pure but for the random numbers of AES-GCM.

A content is compressed (streams of events repeat themselves a lot), then sealed with AES-256-GCM
under a key of its own: HMAC-SHA256 of its request's id under the session's key. What it is bound to
names the organization, the project and the request, so that no row can stand in for another one.

Failure behavior: what was changed, moved, or sealed under another key raises `SealBroken`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import msgspec

from helixflow.crypto.aes_gcm import Box
from helixflow.crypto.mac import hmac_sha256
from helixflow.crypto.master_key import SealBroken

_VERSION = 1
_LEVEL = 1
_OPENED_BYTES_MAX = 256 * 1024 * 1024
_ENTRY, _PLACE = b"helixflow content entry\n", "helixflow content"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, bytes, int, bytes, int]).decode


@dataclass(frozen=True, slots=True)
class Text:
    """The beginning of a text, and how many bytes the whole had."""

    data: bytes = field(repr=False)
    size: int

    @property
    def truncated(self) -> bool:
        """Whether something is missing at its end."""
        return len(self.data) < self.size


@dataclass(frozen=True, slots=True)
class Content:
    """Attributes: the body as it came, and the answer as it was sent (JSON, or SSE events)."""

    request: Text
    answer: Text


def cut(data: bytes, limit: int) -> bytes:
    """The beginning of a UTF-8 text, at most `limit` bytes, without half a character at its end."""
    if len(data) <= limit:
        return data
    end = limit
    while end > 0 and limit - end < 4 and data[end] & 0xC0 == 0x80:
        end -= 1
    # Where there is no character's beginning nearby, it is no UTF-8.
    return data[: limit if end > 0 and data[end] & 0xC0 == 0x80 else end]


def entry_key(session_key: bytes, request: str) -> bytes:
    """The key of one content, from that of its session."""
    return hmac_sha256(session_key, _ENTRY + request.encode())


def seal(content: Content, key: bytes, organization: str, project: str, request: str) -> bytes:
    """A content under its own key (`entry_key`), for its own place."""
    plain = (
        _VERSION, content.request.data, content.request.size, content.answer.data,
        content.answer.size,
    )  # fmt: skip
    return Box(key).seal(
        zlib.compress(_encode(plain), _LEVEL), _place(organization, project, request)
    )


def unseal(sealed: bytes, key: bytes, organization: str, project: str, request: str) -> Content:
    """What was sealed there. Raises `SealBroken`."""
    opened = Box(key).open(sealed, _place(organization, project, request))
    try:
        plain = zlib.decompressobj().decompress(opened, _OPENED_BYTES_MAX)
        _, body, body_size, answer, answer_size = _decode(plain)
    except (zlib.error, msgspec.MsgspecError):
        raise SealBroken("it is no kept content") from None
    return Content(Text(body, body_size), Text(answer, answer_size))


def _place(organization: str, project: str, request: str) -> bytes:
    return _encode((_PLACE, organization, project, request))
