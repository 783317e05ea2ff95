"""What a model replica answers with: finished bytes, and a small record beside them.

A streamed answer is a sequence of frames, each holding one or more whole SSE events; an answer
that is not streamed is one frame holding the JSON body. The last frame carries the sidecar. A
request that fails ends with a frame whose sidecar holds the refusal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from helixflow.errors import RefusalWire, Refused
from helixflow.inference.load import Load
from helixflow.inference.usage import Usage

SidecarWire: TypeAlias = tuple[int, int, int, str, int, int, float, RefusalWire | None]
FrameWire: TypeAlias = tuple[int, bytes, SidecarWire | None]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The record beside the last bytes of an answer.

    Attributes:
        usage: what the request used, counted by the engine's own output.
        finish_reason: OpenAI's word of the first choice (`stop`, `length`, `tool_calls`), or empty.
        load: the replica's load when the answer ended.
        refused: why there is no (complete) answer, if there is none.
    """

    usage: Usage = field(default_factory=Usage)
    finish_reason: str = ""
    load: Load = field(default_factory=Load)
    refused: Refused | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of an answer: `data` is ready to be sent as it is."""

    data: bytes
    sidecar: Sidecar | None = None

    def to_wire(self) -> FrameWire:
        side = self.sidecar
        if side is None:
            return (_VERSION, self.data, None)
        usage, load = side.usage, side.load
        return (
            _VERSION,
            self.data,
            (
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                side.finish_reason,
                load.running,
                load.waiting,
                load.kv_used,
                None if side.refused is None else side.refused.to_wire(),
            ),
        )

    @staticmethod
    def from_wire(wire: FrameWire) -> Frame:
        data, side = wire[1], wire[2]
        if side is None:
            return Frame(data)
        prompt, completion, cached, finish_reason, running, waiting, kv_used, refused = side
        return Frame(
            data,
            Sidecar(
                Usage(prompt, completion, cached),
                finish_reason,
                Load(running, waiting, kv_used),
                None if refused is None else Refused.from_wire(refused),
            ),
        )
