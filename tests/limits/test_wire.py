from __future__ import annotations

import msgspec

from helixflow.ids import OrganizationId
from helixflow.limits.ports import Ask, CounterId, End, Grant
from helixflow.limits.wire import (
    answer_from_wire,
    answer_to_wire,
    exchange_from_wire,
    exchange_to_wire,
)


def test_an_exchange_arrives_as_it_was_sent() -> None:
    counter = CounterId(OrganizationId("org_1"), "requests_per_minute", "model=m,project=p")
    ends = (End(1, 5), End(2, 0, last=True))
    groups = [(Ask(counter, 10, 3, 1, 4, 2.5, ends), Ask(counter, 10, used=3)), ()]
    wire = exchange_to_wire("holder", 7, 6, groups)
    assert exchange_from_wire(wire) == ("holder", 7, 6, groups)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(wire))


def test_an_answer_arrives_as_it_was_sent() -> None:
    answer = [(Grant(1, 5.0, 9, 60.5), Grant(0, 0.0, 0, 1.0, 0.25)), ()]
    assert answer_from_wire(answer_to_wire(answer)) == answer
