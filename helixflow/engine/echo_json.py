"""The echo engine's bytes: OpenAI's shapes, put together from ready pieces.

Shapes: https://platform.openai.com/docs/api-reference/chat/streaming and .../completions/object.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from helixflow.api.sse import DONE
from helixflow.engine.echo_body import Ask
from helixflow.inference.request import EngineRequest, Operation
from helixflow.inference.usage import Usage

_json = msgspec.json.Encoder().encode


class Writer(Protocol):
    """Writes one answer. An `index` counts the choices over all prompts."""

    finish_reason: str

    def roles(self) -> bytes:
        """The events before the first piece."""
        ...

    def piece(self, index: int, step: int) -> bytes:
        """The event of one token."""
        ...

    def ending(self, usage: Usage) -> bytes:
        """The events after the last piece, `[DONE]` included."""
        ...

    def whole(self, usage: Usage) -> bytes:
        """The body of an answer that is not streamed."""
        ...


def writer_for(request: EngineRequest, ask: Ask, length: int, created: int) -> Writer:
    """The writer of `length` tokens per choice; `created` is epoch seconds."""
    kind = _ChatWriter if request.operation is Operation.CHAT else _CompletionWriter
    return kind(request, ask, length, created)


class _ChatWriter:
    prefix, whole_object, chunk_object = b"chatcmpl-", b"chat.completion", b"chat.completion.chunk"
    before_text, after_text = b'"delta":{"content":', b"}"
    before_whole, after_whole = b'"message":{"role":"assistant","content":', b',"refusal":null}'
    empty = b'"delta":{}'

    def __init__(self, request: EngineRequest, ask: Ask, length: int, created: int) -> None:
        self.finish_reason = "stop" if ask.max_tokens is None else "length"
        self._ask = ask
        self._length = length
        self._id = b'{"id":"%b%b","object":"' % (self.prefix, request.request_id.encode())
        self._made = b'","created":%d,"model":%b,' % (created, _json(request.model))
        self._head = b"data: " + self._id + self.chunk_object + self._made + b'"choices":[{"index":'
        usage = b',"usage":null' if ask.include_usage else b""
        self._tail = b',"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
        self._end = b',"logprobs":null,"finish_reason":"%b"}]%b}\n\n' % (
            self.finish_reason.encode(),
            usage,
        )
        self._pieces: dict[int, tuple[list[bytes], bytes]] = {}

    def roles(self) -> bytes:
        role = b',"delta":{"role":"assistant","content":""}' + self._tail
        return b"".join(b"%b%d%b" % (self._head, index, role) for index in range(self._ask.answers))

    def piece(self, index: int, step: int) -> bytes:
        ready = self._pieces.get(index)
        if ready is None:
            ready = self._pieces[index] = self._prepare(index)
        following, first = ready
        return following[step % len(following)] if step else first

    def _prepare(self, index: int) -> tuple[list[bytes], bytes]:
        """Every event of a choice: one per word of its prompt, and the first, without a space."""
        words = self._words(index)[: self._length]
        head = b"%b%d,%b" % (self._head, index, self.before_text)
        tail = self.after_text + self._tail
        return [head + _json(f" {word}") + tail for word in words], head + _json(words[0]) + tail

    def _words(self, index: int) -> list[str]:
        return self._ask.prompts[index // self._ask.choices]

    def ending(self, usage: Usage) -> bytes:
        ends = [
            b"%b%d,%b%b" % (self._head, index, self.empty, self._end)
            for index in range(self._ask.answers)
        ]
        if self._ask.include_usage:
            ends.append(b"data: " + self._id + self.chunk_object + self._made)
            ends.append(b'"choices":[],"usage":%b}\n\n' % _usage(usage))
        return b"".join([*ends, DONE])

    def whole(self, usage: Usage) -> bytes:
        end = b',"logprobs":null,"finish_reason":"%b"}' % self.finish_reason.encode()
        choices = b",".join(
            b'{"index":%d,%b%b%b%b'
            % (
                index,
                self.before_whole,
                _text(self._words(index), self._length),
                self.after_whole,
                end,
            )
            for index in range(self._ask.answers)
        )
        return b'%b%b%b"choices":[%b],"usage":%b}' % (
            self._id, self.whole_object, self._made, choices, _usage(usage),
        )  # fmt: skip


class _CompletionWriter(_ChatWriter):
    prefix, whole_object, chunk_object = b"cmpl-", b"text_completion", b"text_completion"
    before_text, after_text = b'"text":', b""
    before_whole, after_whole = b'"text":', b""
    empty = b'"text":""'

    def roles(self) -> bytes:
        return b""


def _text(words: list[str], length: int) -> bytes:
    times, rest = divmod(length, len(words))
    return _json(" ".join(words * times + words[:rest]))


def _usage(usage: Usage) -> bytes:
    return b'{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}' % (
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.total_tokens,
    )
