"""Events of few requests with few values, so that they meet; and whole rows of them."""

from __future__ import annotations

from hypothesis import strategies as st

from helixflow.inference.facts import OK, Admitted, Ended, Facts, Generated
from helixflow.inference.price import NanoPrice
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind

TOKENS = st.integers(0, 100)
USAGES = st.builds(Usage, TOKENS, TOKENS, TOKENS)
OUTCOMES = st.sampled_from([OK, "canceled", "engine_died"])
PRICES = st.builds(NanoPrice, *[st.sampled_from([0, 1, 150_000_000])] * 3)
TIMES = st.sampled_from([1000.0, 3599.5, 3600.0, 86_399.0, 86_401.0, 200_000.0])
ADMITTED = st.builds(
    Admitted,
    st.sampled_from(["org_a", "org_b"]),
    st.sampled_from(["proj_1", "proj_2"]),
    st.sampled_from(["key_1", "key_2"]),
    subject=st.sampled_from(["", "user_1"]),
    model=st.sampled_from(["m", "n"]),
    service_class=st.sampled_from(["standard", "batch"]),
    price=PRICES,
)
ENDED = st.builds(Ended, OUTCOMES, st.none() | USAGES, st.just(1.5))
GENERATED = st.builds(Generated, st.just("m"), OUTCOMES, USAGES)

FACTS: dict[EventKind, st.SearchStrategy[Facts]] = {
    EventKind.REQUEST_ADMITTED: ADMITTED.map(Admitted.facts),
    EventKind.REQUEST_ENDED: ENDED.map(Ended.facts),
    EventKind.REQUEST_GENERATED: GENERATED.map(Generated.facts),
}


@st.composite
def events(draw: st.DrawFn, ids: tuple[str, ...] = ("req_1", "req_2")) -> Event:
    kind = draw(st.sampled_from(list(FACTS)))
    return Event(kind, draw(TIMES), draw(st.sampled_from(ids)), draw(FACTS[kind]))
