"""Records as OpenAI's audit log API shows them, with what only this log has beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from helixflow.telemetry.audit import canonical
from helixflow.telemetry.audit.event_types import event_type
from helixflow.telemetry.audit.persons import Persons
from helixflow.telemetry.audit.ports import Stored
from helixflow.telemetry.audit.record import SYSTEM, Kind, Record
from helixflow.telemetry.audit.sealing import ACTOR, TARGET, Opened, opened

Json: TypeAlias = dict[str, Any]

_USER, _SERVICE, _KEY = "user_", "svc_acct_", "key_"


async def shown(stored: Sequence[Stored], persons: Persons) -> list[Json]:
    """Records with their contents, as JSON objects."""
    records = [_read(one.data) for one in stored]
    parts = [part for record in records if record for part in (record.actor, record.target)]
    keys = await persons.called({part.index for part in parts if part.index})
    return [
        _broken(one) if record is None else record_json(opened(record, keys), one.hash)
        for record, one in zip(records, stored, strict=True)
    ]


def _read(data: bytes) -> Record | None:
    try:
        return canonical.decode(data)
    except canonical.NotCanonical:
        return None


def _broken(stored: Stored) -> Json:
    """Somebody was at the database; a verification says more."""
    return {
        "object": "organization.audit_log", "id": "", "type": "record.broken", "effective_at": 0,
        "actor": {"type": "unknown"}, "record.broken": {"id": None}, "sequence": stored.sequence,
        "hash": stored.hash.hex(),
    }  # fmt: skip


def record_json(seen: Opened, hash_: bytes) -> Json:
    """One record."""
    record, kind = seen.record, event_type(seen.record)
    body: Json = {
        "object": "organization.audit_log",
        "id": record.id,
        "type": kind,
        "effective_at": record.at_ms // 1000,
        "actor": _actor(seen),
        kind: _detail(seen),
        "action": record.action,
        "outcome": record.outcome,
        "reason": record.reason or None,
        "request_id": record.request or None,
        "count": record.count,
        "until": record.until_ms // 1000 or None,
        "forgotten": sorted(seen.forgotten),
        "sequence": record.sequence,
        "hash": hash_.hex(),
    }
    if record.project:
        body["project"] = {"id": record.project}
    return body


def _actor(seen: Opened) -> Json:
    """OpenAI knows sessions and API keys; here the platform, the forgotten and nobody act too."""
    address = seen.address or None
    if ACTOR in seen.forgotten:
        return {"type": "forgotten", "index": seen.record.actor.index}
    if seen.actor == SYSTEM:
        return {"type": "system"}
    if seen.actor.startswith(_USER):
        return {
            "type": "session",
            "session": {"user": {"id": seen.actor}, "ip_address": address},
        }
    if seen.actor.startswith((_KEY, _SERVICE)):
        owner = "service_account" if seen.actor.startswith(_SERVICE) else "user"
        return {
            "type": "api_key",
            "api_key": {"id": seen.actor, "type": owner},
            "ip_address": address,
        }
    return {"type": "unknown", "id": seen.actor or None, "ip_address": address}


def _detail(seen: Opened) -> Json:
    """What it was done to, and what changed of it."""
    target = None if TARGET in seen.forgotten else seen.target or None
    detail: Json = {"id": target}
    if TARGET in seen.forgotten:
        detail["index"] = seen.record.target.index
    if seen.before:
        detail["changes_from"] = seen.before
    if seen.after:
        made = seen.record.action.endswith((":create", ":grant"))
        name = "data" if made else "changes_requested"
        detail[name] = seen.after
    if seen.record.kind is Kind.AUTHORIZATION:
        detail["permission"] = seen.record.action.partition(":")[2]
    return detail
