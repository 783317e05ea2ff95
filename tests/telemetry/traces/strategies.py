"""The events of one request: its ends in an Ingress and in Model replicas."""

from __future__ import annotations

from hypothesis import strategies as st

from helixflow.gateway.http.errors import STATUS
from helixflow.inference.facts import CANCELED, OK, Ended, Generated
from helixflow.inference.trace import TraceContext
from helixflow.inference.trace_facts import Traced, caller_facts
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind

REQUEST = "req_" + "0123456789abcdef" * 2
CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)
NOW = 1_700_000_000.0
STATUSES = {reason.value: status for reason, status in STATUS.items()}

SECONDS = st.floats(0, 60)
OUTCOMES = st.sampled_from([OK, CANCELED, "engine_died", "model_not_found", "a_later_word"])
USAGES = st.none() | st.builds(Usage, *[st.integers(0, 100)] * 3)


def ended(
    outcome: str = OK,
    stages: dict[str, float] | None = None,
    *,
    request: str = REQUEST,
    usage: Usage | None = None,
    first_token_s: float | None = None,
    traced: Traced | None = None,
    kind: EventKind = EventKind.REQUEST_ENDED,
    whole_s: float | None = None,
) -> Event:
    stages = {"authenticate": 0.5, "rest": 0.5} if stages is None else stages
    told = Ended(outcome, usage, sum(stages.values()), first_token_s, "stop", stages, whole_s)
    facts = told.facts() | (traced or Traced("echo-1", stream=True)).facts()
    return Event(kind, NOW, request, facts)


def generated(
    outcome: str = OK,
    duration_s: float = 1.0,
    *,
    request: str = REQUEST,
    parent: str = "",
    queue_s: float = 0.25,
    first_token_s: float | None = 0.5,
    operation: str = "chat.completions",
) -> Event:
    told = Generated(
        "echo-1", outcome, Usage(3, 5, 1), "replica-1", queue_s, first_token_s, duration_s, "stop"
    )
    facts = told.facts() | {"operation": operation} | (caller_facts(parent) if parent else {})
    return Event(EventKind.REQUEST_GENERATED, NOW, request, facts)


STAGES = st.lists(
    st.sampled_from(["authenticate", "parse", "reserve", "first_token", "rest", "settle"]),
    unique=True,
).flatmap(lambda names: st.fixed_dictionaries(dict.fromkeys(names, SECONDS)))
ENDED = st.builds(
    ended,
    OUTCOMES,
    STAGES,
    usage=USAGES,
    first_token_s=st.none() | SECONDS,
    traced=st.builds(
        Traced,
        st.sampled_from(["", "echo-1"]),
        door=st.sampled_from(["http", "handle"]),
        stream=st.booleans(),
        receive_s=SECONDS,
        caller=st.none() | st.just(CALLER),
    ),
    kind=st.sampled_from([EventKind.REQUEST_ENDED, EventKind.REQUEST_REFUSED]),
)
GENERATED = st.builds(
    generated,
    OUTCOMES,
    SECONDS,
    parent=st.sampled_from(["", CALLER.parent]),
    queue_s=SECONDS,
    first_token_s=st.none() | SECONDS,
)
EVENTS = ENDED | GENERATED
