"""Kept content on the wire."""

from __future__ import annotations

from typing import Literal

from helixflow.api.wire import Wire


class KeptContent(Wire):
    """That something is kept of a request; `id` is the request's.

    `request_bytes` and `answer_bytes` are the sizes before anything was cut.
    """

    object: Literal["organization.project.content"] = "organization.project.content"
    id: str
    project_id: str
    created_at: int
    expires_at: int
    model: str
    operation: str
    outcome: str
    request_bytes: int
    answer_bytes: int
    truncated: bool


class KeptText(Wire):
    """The beginning of a text, or all of it; `bytes` is the size of the whole."""

    text: str
    bytes: int
    truncated: bool


class OpenedContent(KeptContent):
    """What is kept of a request: its body as it came, the answer as it was sent."""

    request: KeptText
    answer: KeptText


class KeptContents(Wire):
    """A part of a list, the newest first. `last_id` is the `after` of the next part."""

    object: Literal["list"] = "list"
    data: list[KeptContent]
    first_id: str | None
    last_id: str | None
    has_more: bool
