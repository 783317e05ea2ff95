"""What an Ingress asks about kept content: sessions to seal with, lists, one content, deletion.

Whether the caller may, in the project in question, the Ingress has asked Auth before (as for the
audit log, audit/desk.py); the organization is always the caller's own. Reading and deleting are
recorded in the audit log first: where that cannot be done, neither is.

A content leaves sealed, with the key of this one content beside it, and the Ingress opens it: what
travels between processes may lie on disk for a while where a node is short of memory.
"""

from __future__ import annotations

import base64
from typing import Any

from helixflow.clock import Clock
from helixflow.errors import Forbidden, NotFound, Refusal
from helixflow.telemetry.audit.entries import acting_person
from helixflow.telemetry.audit.log import AuditLog, new_id
from helixflow.telemetry.audit.record import Entry, Kind, Outcome, Subject
from helixflow.telemetry.content.keys import ContentKeys
from helixflow.telemetry.content.ports import ContentStore, Sealed
from helixflow.telemetry.content.sealing import entry_key
from helixflow.telemetry.content.vault import Vault
from helixflow.telemetry.desk import Arguments, Operation, Visit

READ, DELETE, INVOKE = "content:read", "content:delete", "model:invoke"
_PAGE_MAX = 100


class Nothing(Arguments, frozen=True, kw_only=True):
    """A session is about the caller's own project."""


class List(Arguments, frozen=True, kw_only=True):
    """The newest first."""

    project_id: str
    after: str | None = None
    limit: int = 20


class One(Arguments, frozen=True, kw_only=True):
    """What was kept of a request."""

    project_id: str
    request_id: str


class ContentDesk:
    """The operations."""

    def __init__(
        self, store: ContentStore, keys: ContentKeys, vault: Vault, audit: AuditLog, clock: Clock
    ) -> None:
        self._store = store
        self._keys = keys
        self._vault = vault
        self._audit = audit
        self._clock = clock

    def operations(self) -> tuple[Operation, ...]:
        """For `telemetry.desk.Desk`."""
        return (
            Operation("content.session", INVOKE, Nothing, self._session),
            Operation("content.list", READ, List, self._list),
            Operation("content.read", READ, One, self._read),
            Operation("content.sealed", READ, One, self._sealed),
            Operation("content.delete", DELETE, One, self._delete),
        )

    async def _session(self, visit: Visit, _: Nothing) -> dict[str, str]:
        who = visit.principal
        if who.keeping is None:
            raise Forbidden(Refusal.PERMISSION_DENIED, "This project keeps no content.")
        session = await self._keys.session(who.organization, who.project, who.keeping.period)
        return {"id": session.id, "key": base64.b64encode(session.key).decode()}

    async def _list(self, visit: Visit, asked: List) -> dict[str, Any]:
        limit = min(max(1, asked.limit), _PAGE_MAX)
        found = await self._store.page(
            visit.principal.organization, asked.project_id, asked.after, limit + 1
        )
        data = [shown(one) for one in found[:limit]]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": len(found) > limit,
        }

    async def _read(self, visit: Visit, asked: One) -> dict[str, Any]:
        kept = await self._held(visit, asked)
        opener = await self._keys.opener(kept.organization, kept.project, kept.period, kept.session)
        if opener is None:
            raise _unknown()
        await self._record(visit, asked, "read")
        key = base64.b64encode(entry_key(opener, kept.request)).decode()
        return {"shown": shown(kept), "key": key}

    async def _sealed(self, visit: Visit, asked: One) -> bytes:
        return (await self._held(visit, asked)).sealed

    async def _delete(self, visit: Visit, asked: One) -> dict[str, Any]:
        await self._held(visit, asked)
        await self._record(visit, asked, "delete")
        await self._vault.delete(visit.principal.organization, asked.project_id, asked.request_id)
        return {
            "object": "organization.project.content.deleted",
            "id": asked.request_id,
            "deleted": True,
        }

    async def _held(self, visit: Visit, asked: One) -> Sealed:
        kept = await self._store.get(
            visit.principal.organization, asked.project_id, asked.request_id
        )
        if kept is None:
            raise _unknown()
        return kept

    async def _record(self, visit: Visit, asked: One, action: str) -> None:
        who = visit.principal
        entry = Entry(
            id=new_id(),
            chain=who.organization,
            kind=Kind.ADMINISTRATION,
            action=f"{Subject.PROJECT}:content:{action}",
            outcome=Outcome.DONE,
            at_ms=int(self._clock.now() * 1000),
            actor=who.key,
            person=acting_person(who.subject, who.key),
            target=asked.request_id,
            project=asked.project_id,
            request=visit.request_id,
            address=visit.source,
        )
        await self._audit.record([entry])


def shown(kept: Sealed) -> dict[str, Any]:
    """What is known of a content without opening it."""
    return {
        "object": "organization.project.content",
        "id": kept.request,
        "project_id": kept.project,
        "created_at": int(kept.at),
        "expires_at": int(kept.at + kept.days * 86_400),
        "model": kept.model,
        "operation": kept.operation,
        "outcome": kept.outcome,
        "request_bytes": kept.request_bytes,
        "answer_bytes": kept.answer_bytes,
        "truncated": kept.truncated,
    }


def _unknown() -> NotFound:
    return NotFound(Refusal.RESOURCE_NOT_FOUND, "Nothing is kept of this request.")
