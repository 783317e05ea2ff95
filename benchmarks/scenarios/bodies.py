"""What is sent."""

from __future__ import annotations

import json

CHAT = "/v1/chat/completions"


def chat_body(model: str, text: str, tokens: int, *, stream: bool, **more: object) -> str:
    """A chat request for exactly so many tokens; a stream ends with its usage."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": tokens,
        **more,
    }
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, separators=(",", ":"))
