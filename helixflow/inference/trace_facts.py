"""What the end of a request says for its trace, beside what `Ended` says.

Only where traces are on; the facts stand in the same event (inference/facts.py), so that an event
is enough to build the spans of its process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from helixflow.inference.facts import Facts, Value
from helixflow.inference.request import Operation
from helixflow.inference.trace import TraceContext


@dataclass(frozen=True, slots=True)
class Personal:
    """Who asked, where a trace may say so."""

    organization: str = ""
    project: str = ""
    key: str = ""
    subject: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """An Ingress's part.

    Attributes:
        model: by registry name; empty where none was found.
        operation: an `Operation`'s word.
        door: `http` or `handle`.
        stream: whether the answer is streamed.
        receive_s: seconds that the body took to come in, before anything else.
        caller: the place in a trace that the caller gave.
        personal: who asked; None where traces must not say.
    """

    model: str = ""
    operation: str = Operation.CHAT.value
    door: str = "http"
    stream: bool = False
    receive_s: float = 0.0
    caller: TraceContext | None = None
    personal: Personal | None = None

    def facts(self) -> Facts:
        """As plain values."""
        facts: Facts = {
            "model": self.model,
            "operation": self.operation,
            "door": self.door,
            "stream": self.stream,
            "receive_s": self.receive_s,
        }
        if self.caller is not None:
            facts |= caller_facts(self.caller.parent, self.caller.state)
        who = self.personal
        if who is not None:
            facts |= {
                "personal": True,
                "organization": who.organization,
                "project": who.project,
                "key": who.key,
                "subject": who.subject,
                "address": who.address,
            }
        return facts

    @staticmethod
    def read(facts: Mapping[str, Value]) -> Traced:
        """What `facts` wrote; what is of another kind is taken for its text, or for nothing."""
        receive_s = facts.get("receive_s")
        personal = None
        if facts.get("personal") is True:
            names = ("organization", "project", "key", "subject", "address")
            personal = Personal(*(_text(facts, name) for name in names))
        return Traced(
            _text(facts, "model"),
            _text(facts, "operation") or Operation.CHAT.value,
            _text(facts, "door"),
            facts.get("stream") is True,
            float(receive_s) if isinstance(receive_s, (int, float)) else 0.0,
            caller_of(facts),
            personal,
        )


def caller_facts(parent: str, state: str = "") -> Facts:
    """The place in a trace as plain values."""
    facts: Facts = {"trace_parent": parent}
    if state:
        facts["trace_state"] = state
    return facts


def caller_of(facts: Mapping[str, Value]) -> TraceContext | None:
    """What `caller_facts` wrote, or None."""
    parent = _text(facts, "trace_parent")
    return TraceContext.of(parent, _text(facts, "trace_state")) if parent else None


def _text(facts: Mapping[str, Value], name: str) -> str:
    value = facts.get(name)
    return "" if value is None else str(value)
