"""A record of the audit log as a line, or as a row, for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from helixflow.cli.admin.tables import Columns

_FORGOTTEN = "(forgotten)"
_NOBODY = "-"


def actor_of(record: Mapping[str, Any]) -> str:
    """Who did it."""
    actor = record.get("actor") or {}
    match actor.get("type"):
        case "session":
            return str(actor["session"]["user"]["id"])
        case "api_key":
            return str(actor["api_key"]["id"])
        case "system":
            return "system"
        case "forgotten":
            return _FORGOTTEN
        case _:
            return str(actor.get("id") or _NOBODY)


def address_of(record: Mapping[str, Any]) -> str:
    """The client's address."""
    actor = record.get("actor") or {}
    session = actor.get("session") or {}
    return str(actor.get("ip_address") or session.get("ip_address") or _NOBODY)


def target_of(record: Mapping[str, Any]) -> str:
    """What it was done to."""
    if "target" in (record.get("forgotten") or ()):
        return _FORGOTTEN
    detail = record.get(str(record.get("type"))) or {}
    return str(detail.get("id") or _NOBODY)


def outcome_of(record: Mapping[str, Any]) -> str:
    """What came of it, how often, and why."""
    told = str(record.get("outcome") or _NOBODY)
    if (count := record.get("count") or 1) > 1:
        told += f" x{count}"
    reason = record.get("reason")
    return f"{told} ({reason})" if reason else told


def second(epoch_s: float) -> str:
    """A time in UTC, to the second."""
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def line_of(record: Mapping[str, Any]) -> str:
    """One line; nothing in it that a terminal would act on."""
    parts = (
        second(record["effective_at"]), record["type"], actor_of(record), target_of(record),
        outcome_of(record), address_of(record),
    )  # fmt: skip
    text = "  ".join(str(part) for part in parts)
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


RECORDS: Columns = (
    ("time", lambda record: second(record["effective_at"])),
    ("type", "type"),
    ("actor", actor_of),
    ("target", target_of),
    ("outcome", outcome_of),
    ("address", address_of),
    ("request", "request_id"),
    ("id", "id"),
)
