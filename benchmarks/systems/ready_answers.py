"""Answers made once, of the size and shape that the echo engine's have.

The bare Serve app and the trivial server send these, so that every system of the gateway pair moves
the same bytes and is checked by the same code.
"""

from __future__ import annotations

WORDS = [
    "The",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "the",
    "lazy",
    "dog",
    "and",
    "runs",
    "away",
    "again",
]
PROMPT = " ".join(WORDS)

_ID = b'{"id":"chatcmpl-req_0123456789abcdef0123456789abcdef","object":"%b","created":1700000000,'
_MODEL = b'"model":"echo-1",'


def whole(tokens: int) -> bytes:
    """The body of a chat completion that is not streamed."""
    text = " ".join(WORDS[index % len(WORDS)] for index in range(tokens)).encode()
    return (
        _ID % b"chat.completion"
        + _MODEL
        + b'"choices":[{"index":0,"message":{"role":"assistant","content":"%b","refusal":null},'
        b'"logprobs":null,"finish_reason":"length"}],"usage":%b}' % (text, _usage(tokens))
    )


def stream_events(tokens: int) -> list[bytes]:
    """The events of a streamed chat completion, `[DONE]` included: one per token and four more."""
    head = b"data: " + _ID % b"chat.completion.chunk" + _MODEL
    tail = b',"logprobs":null,"finish_reason":null}],"usage":null}\n\n'
    role = head + b'"choices":[{"index":0,"delta":{"role":"assistant","content":""}' + tail
    pieces = [
        head + b'"choices":[{"index":0,"delta":{"content":" %b"}' % word.encode() + tail
        for word in (WORDS[index % len(WORDS)] for index in range(tokens))
    ]
    end = (
        head + b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],'
        b'"usage":null}\n\n'
    )
    usage = head + b'"choices":[],"usage":%b}\n\n' % _usage(tokens)
    return [role, *pieces, end, usage, b"data: [DONE]\n\n"]


def _usage(tokens: int) -> bytes:
    return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (
        len(WORDS),
        tokens,
        len(WORDS) + tokens,
    )
