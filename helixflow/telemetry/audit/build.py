"""The audit log, put together over its stores.

audit = build_audit(stores.audit, stores.persons, ring, settings.telemetry.audit, clock, tally)
hub = Hub(sinks=[..., audit.sink], ...)
desk = Desk([*..., *audit.desk.operations()], ...)
"""

from __future__ import annotations

from dataclasses import dataclass

from helixflow.clock import Clock
from helixflow.crypto.ed25519 import SigningSeed
from helixflow.crypto.master_key import KeyRing
from helixflow.settings import AuditSettings
from helixflow.telemetry.audit.desk import AuditDesk
from helixflow.telemetry.audit.export import Export
from helixflow.telemetry.audit.log import AuditLog
from helixflow.telemetry.audit.persons import Persons
from helixflow.telemetry.audit.ports import AuditStore, PersonStore
from helixflow.telemetry.audit.retention import Retention
from helixflow.telemetry.audit.seals import SEED_PURPOSE
from helixflow.telemetry.audit.sink import AuditSink
from helixflow.telemetry.tally import Tally


@dataclass(frozen=True, slots=True)
class Audit:
    """Attributes: where events come in, where questions are answered, and what both stand on."""

    sink: AuditSink
    desk: AuditDesk
    log: AuditLog
    export: Export
    persons: Persons
    retention: Retention


def build_audit(
    store: AuditStore,
    person_store: PersonStore,
    ring: KeyRing,
    settings: AuditSettings,
    clock: Clock,
    tally: Tally,
) -> Audit:
    """The parts of the log. `ring` is the master key: it wraps persons' keys and gives the seal's.

    `tally` is the station's, for what the log counts itself.
    """
    persons = Persons(person_store, ring, clock, settings.persons_cached_max)
    log = AuditLog(store, persons, SigningSeed(ring.derive(SEED_PURPOSE)), clock)
    retention = Retention(store, log, persons, settings)
    export = Export(store, log)
    return Audit(
        AuditSink(store, log, retention, settings, clock, tally),
        AuditDesk(store, log, persons, export),
        log,
        export,
        persons,
        retention,
    )
