"""A request's events, as an Ingress and a Model would journal them."""

from __future__ import annotations

from dataclasses import dataclass, field

from helixflow.ids import mint_request_id
from helixflow.inference.facts import OK, Admitted, Ended, Generated
from helixflow.inference.model_spec import Price
from helixflow.inference.price import NanoPrice
from helixflow.inference.usage import Usage
from helixflow.signals import Event, EventKind

PRICE = NanoPrice.of(Price(0.10, 0.02, 0.30))
SOMEBODY = Admitted("org_1", "proj_1", "key_1", model="m", price=PRICE)
SOME_TOKENS = Usage(10, 20, 4)


@dataclass(frozen=True, slots=True)
class SomeRequest:
    """One request, and what is said of it.

    Attributes:
        at: when it is admitted, epoch seconds.
        id: by default a fresh one.
        admitted: what the Ingress admits.
        usage: what it uses.
        outcome: how it ends.
        took_s: from its admission to its end.
    """

    at: float = 1_700_000_000.0
    id: str = field(default_factory=mint_request_id)
    admitted: Admitted = SOMEBODY
    usage: Usage = SOME_TOKENS
    outcome: str = OK
    took_s: float = 2.0

    @property
    def admission(self) -> Event:
        """Of the Ingress, before it forwards the request."""
        return Event(EventKind.REQUEST_ADMITTED, self.at, self.id, self.admitted.facts())

    @property
    def end(self) -> Event:
        """Of the Ingress, when it is done."""
        ended = Ended(self.outcome, self.usage, self.took_s, self.took_s / 4)
        return Event(EventKind.REQUEST_ENDED, self.at + self.took_s, self.id, ended.facts())

    @property
    def generation(self) -> Event:
        """Of the Model's replica, when it is done."""
        generated = Generated(self.admitted.model, self.outcome, self.usage, "replica-1")
        at = self.at + self.took_s - 0.001
        return Event(EventKind.REQUEST_GENERATED, at, self.id, generated.facts())

    @property
    def events(self) -> tuple[Event, Event, Event]:
        """All three."""
        return (self.admission, self.generation, self.end)
