"""What stands behind the hub in a benchmark, and what goes through it.

`books` are the platform's own sinks on SQLite: usage rows with their sums, and the audit chain.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from helixflow.clock import SystemClock
from helixflow.crypto.master_key import MasterKey
from helixflow.ids import mint_request_id
from helixflow.inference.facts import OK, Admitted, Ended, Generated
from helixflow.inference.price import NanoPrice
from helixflow.inference.usage import Usage
from helixflow.settings import JsonlSettings, TelemetrySettings
from helixflow.signals import Event, EventKind
from helixflow.storage.audit_stores import prepare_audit
from helixflow.storage.telemetry import prepare_telemetry
from helixflow.telemetry.audit.build import build_audit
from helixflow.telemetry.jsonl import JsonlSink
from helixflow.telemetry.ports import Sink
from helixflow.telemetry.station import own_tally
from helixflow.telemetry.usage_sink import UsageSink
from helixflow.testing.audit import admin_event

_USAGE = Usage(120, 64, 96)
_ADMITTED = Admitted(
    "org_" + "a" * 26, "proj_" + "b" * 26, "key_" + "c" * 26, "user_" + "d" * 26, "echo-1",
    "eu-central", stream=True, estimated_tokens=200, price=NanoPrice(100, 50, 400),
).facts()  # fmt: skip
_STAGES = dict.fromkeys(("authenticate", "parse", "resolve", "reserve", "first_token", "rest"), 0.1)
_ENDED = Ended(OK, _USAGE, 1.25, 0.1, "stop", _STAGES).facts()
_GENERATED = Generated("echo-1", OK, _USAGE, "replica-1", 0.0, 0.1, 1.2, "stop").facts()
_CHANGE_EVERY = 100


@asynccontextmanager
async def nothing(_folder: Path) -> AsyncIterator[Sequence[Sink]]:
    """No sink: the hub alone."""
    yield []


@asynccontextmanager
async def files(folder: Path) -> AsyncIterator[Sequence[Sink]]:
    """The sink that writes JSON lines."""
    yield [JsonlSink(folder / "events", JsonlSettings(), SystemClock())]


@asynccontextmanager
async def books(folder: Path) -> AsyncIterator[Sequence[Sink]]:
    """Usage and audit, as the actor has them."""
    settings, clock = TelemetrySettings(), SystemClock()
    stores = await prepare_telemetry(settings.storage, folder)
    logs = await prepare_audit(stores.database, settings, folder, clock)
    ring = MasterKey(b"b" * 32)
    audit = build_audit(logs.audit, logs.persons, ring, settings.audit, clock, own_tally())
    try:
        yield [UsageSink(stores.usage, settings.usage, clock), audit.sink]
    finally:
        await logs.database.close()
        await stores.database.close()


def request_events() -> list[Event]:
    """What Ingress and Model journal of one request."""
    request_id, now = mint_request_id(), time.time()
    return [
        Event(EventKind.REQUEST_ADMITTED, now, request_id, _ADMITTED),
        Event(EventKind.REQUEST_GENERATED, now, request_id, _GENERATED),
        Event(EventKind.REQUEST_ENDED, now, request_id, _ENDED),
    ]


def traffic() -> Iterator[Event]:
    """Requests for ever, and a change by an administrator for every hundred of them."""
    for number in itertools.count(1):
        yield from request_events()
        if number % _CHANGE_EVERY == 0:
            yield admin_event(number)
