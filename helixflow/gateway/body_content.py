"""The content of messages: texts, and media that come in the body itself."""

from __future__ import annotations

from helixflow.gateway.body_faults import missing, not_yours, unsupported
from helixflow.gateway.body_fields import Link, Message, Part

_MEDIA = frozenset({"audio_url", "image_url", "video_url"})
_PARTS = _MEDIA | {
    "input_audio", "input_text", "output_text", "refusal", "text", "thinking", "tool_reference",
}  # fmt: skip


def check_content(message: Message, place: int) -> None:
    """A text, parts, or nothing where an assistant called tools. Raises `InvalidRequest`."""
    if isinstance(message.content, str):
        return
    param = f"messages[{place}].content"
    if message.content is None and message.role != "assistant":
        raise missing(param)
    for index, part in enumerate(message.content or ()):
        _check_part(part, f"{param}[{index}]")


def _check_part(part: Part, param: str) -> None:
    """A medium comes in the body: the platform fetches nothing for a client, nor reads a file."""
    if part.type not in _PARTS:
        raise unsupported(
            f"{param}.type", f"A part of the type {part.type[:64]!r} is not supported."
        )
    if part.uuid is not None:
        raise not_yours(f"{param}.uuid")
    if part.type in _MEDIA:
        link: Link | None = getattr(part, part.type)
        if link is None:
            raise missing(f"{param}.{part.type}")
        if not link.url.startswith("data:"):
            raise unsupported(
                f"{param}.{part.type}.url",
                "Media are not fetched from other servers; send them inline as a `data:` URL.",
            )
